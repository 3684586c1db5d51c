"""Is a search worth its time, and is its gain what it says?

python -m benchmarks.search beside RECIPE [--random 32] [--trials 10] [--seeds 0]   chance beside `auto`: score and CPU time
python -m benchmarks.search coverage [--repeats 400]                                the interval of the corrected gain

`beside` tries so many settings at random, each trained to its end, and then searches the same space its own way with fewer
trials; both are told by what the rows that confirm and the locked test rows say of their winners.  `coverage` makes up
trials of known worth: in how many searches does the interval of the winner's gain hold what 200,000 fresh rows say of it,
on the rows that had no say, and on those that chose?
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TRIALS, ROWS, FRESH = 20, 300, 200_000


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("beside")
    part.add_argument("recipe", type=Path)
    part.add_argument("--random", type=int, default=32)
    part.add_argument("--trials", type=int, default=10)
    part.add_argument("--seeds", type=int, nargs="+", default=[0])
    part = parts.add_parser("coverage")
    part.add_argument("--repeats", type=int, default=400)
    asked = parser.parse_args(words)
    if asked.part == "coverage":
        print(json.dumps(covered(asked.repeats)))
        return
    for seed in asked.seeds:
        for how, trials in (("random", asked.random), ("auto", asked.trials)):
            print(json.dumps(searched(asked.recipe, how=how, trials=trials, seed=seed)), flush=True)


def searched(recipe: Path, *, how: str, trials: int, seed: int) -> dict[str, Any]:
    """One search in processes of its own, with the CPU time of all of them."""
    from weitiao.core.recipe import Recipe

    folder = Path(f"{Recipe.read(recipe).output_dir}-{how}-{seed}")
    command = [sys.executable, "-m", "weitiao", "search", str(recipe), f"output_dir={folder}", f"seed={seed}"]
    command += ["--how", how, "--trials", str(trials), "--quiet"]
    process = os.posix_spawn(sys.executable, command, os.environ)
    _, status, used = os.wait4(process, 0)
    if status:
        sys.exit(os.waitstatus_to_exitcode(status))
    found = json.loads((folder / "search.json").read_text())
    winner, row = found["winner"], found["trials"][found["winner"]["number"]]
    ends = [one["end"] for one in found["trials"]]
    return {
        "how": found["how"],
        "seed": seed,
        "trials": {end: ends.count(end) for end in sorted(set(ends))},
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "choosing": row["goals"][0],
        "confirming": winner["value"]["value"],
        "test": [winner["test"][key] for key in ("value", "low", "high")],
        "values": row["values"],
    }


def covered(repeats: int) -> dict[str, Any]:
    """Shares of searches whose interval holds the gain on fresh rows."""
    import numpy as np

    rng = np.random.default_rng(0)
    held: dict[str, list[bool]] = {"confirming": [], "choosing": []}
    bias: dict[str, list[float]] = {name: [] for name in held}
    for _ in range(repeats):
        # A row is as hard for all trials as it is; a trial is a little better or worse than others.
        skill = rng.normal(1.2, 0.15, size=TRIALS)
        seen = _right(skill, ROWS, rng)
        sides = {"choosing": seen[:, ::2], "confirming": seen[:, 1::2]}
        best = int(sides["choosing"].mean(1).argmax())
        if not best:
            continue
        fresh = _right(skill[[0, best]], FRESH, rng)
        truth = float(fresh[1].mean() - fresh[0].mean())
        for side, right in sides.items():
            found = gain(right, best)
            if found["low"] is not None:
                held[side].append(found["low"] <= truth <= found["high"])
                bias[side].append(found["difference"] - truth)
    return {
        side: {
            "searches": len(own),
            "held": round(float(np.mean(own)), 3),
            "bias": round(float(np.mean(bias[side])), 4),
        }
        for side, own in held.items()
    }


def gain(right: Any, best: int, *, resamples: int = 500) -> dict[str, Any]:
    """What a search says of its winner's gain over trial 0, where it is known who is right of which row (trials, rows)."""
    from weitiao.evaluate.metrics.accuracy import Accuracy
    from weitiao.study.difference import difference

    said = {
        name: [{"label": "ab"[1 - int(one)]} for one in right[trial]]
        for name, trial in (("default", 0), ("tuned", best))
    }
    words: dict[str, Any] = {"before": "default", "after": "tuned", "labels": ["a", "b"], "confidence": 0.95}
    words |= {"resamples": resamples, "seed": 0}
    return difference([{"label": "a"}] * right.shape[1], said, {"accuracy": Accuracy()}, **words)


def _right(skill: Any, rows: int, rng: Any) -> Any:
    """Which trials are right of which rows."""
    import numpy as np

    hard = rng.normal(0, 1.5, size=rows)
    return rng.random((len(skill), rows)) < 1 / (1 + np.exp(hard[None, :] - skill[:, None]))


if __name__ == "__main__":
    main()
