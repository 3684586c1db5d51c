"""A search whose processes are killed at random moments: is a trial lost, trained twice, or left behind?

python -m benchmarks.kills RECIPE --trials 200 [--workers 2] [--how asha] [--mean 30] [--seed 0] [search words ...]

`weitiao search` is begun, and gone on with whenever it was killed (-9); so are trainings, whose process stands in their
folder's `.holder`.  Moments are drawn from an exponential distribution, and one kill in four is the search's own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RUNNING, CREATED = 0, 4
"""Of Optuna's journal: the state of a trial whose end is not known, and the line by which one comes to be."""


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path, help="whose output_dir is new")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--how", default="asha")
    parser.add_argument("--mean", type=float, default=30.0, help="seconds between two kills, on average")
    parser.add_argument("--seed", type=int, default=0)
    asked, more = parser.parse_known_args(words)
    from weitiao.core.recipe import Recipe

    folder = Path(Recipe.read(asked.recipe).output_dir)
    command = [sys.executable, "-m", "weitiao", "search", str(asked.recipe), "--resume", "--quiet"]
    command += ["--trials", str(asked.trials), "--workers", str(asked.workers), "--how", asked.how, *more]
    kills = until_it_ends(command, folder, mean=asked.mean, rng=random.Random(asked.seed))
    found = told(folder) | {"kills": dict(kills)}
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps(found | {"cpu_s": round(used.ru_utime + used.ru_stime)}))
    if found["faults"]:
        sys.exit(1)


def until_it_ends(command: Sequence[str], folder: Path, *, mean: float, rng: random.Random) -> Counter[str]:
    """How often who was killed."""
    kills: Counter[str] = Counter()
    search, at, own = subprocess.Popen(command), time.monotonic() + rng.expovariate(1 / mean), False
    while True:
        code = search.poll()
        if code is not None and code != -signal.SIGKILL:
            kills["ended with"] = code
            return kills
        if code is not None:
            search = subprocess.Popen(command)
        elif time.monotonic() >= at:
            victims = [int(path.read_text() or 0) for path in folder.glob("trials/*/.holder")]
            if own or victims:
                kills["search" if own else "trainings"] += _kill(search.pid if own else rng.choice(victims))
                at, own = time.monotonic() + rng.expovariate(1 / mean), rng.random() < 0.25
        time.sleep(0.1)


def _kill(process: int) -> bool:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:  # it has ended meanwhile
        return False
    return True


def told(folder: Path) -> dict[str, Any]:
    """How the trials ended, and what of that may not be."""
    rows = json.loads((folder / "search.json").read_text())["trials"]
    faults = [] if [row["number"] for row in rows] == list(range(len(rows))) else ["numbers"]
    for row in rows:
        if row["end"] is None:
            faults.append(f"{row['label']} has no end")
        log = folder / row["folder"] / "log.jsonl"
        facts = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        steps = [fact["step"] for fact in facts if fact["event"] == "step"]
        if steps != list(range(1, len(steps) + 1)):
            faults.append(f"{row['label']}: steps {steps}")
        if sum(fact["event"] == "end" for fact in facts) != (row["end"] == "complete"):
            faults.append(f"{row['label']}: trained to its end more than once, or never")
    lines = [json.loads(line) for line in (folder / "optuna.journal").read_text().splitlines()]
    states = [0] * sum(line["op_code"] == CREATED for line in lines)
    for line in lines:
        if line["op_code"] == 6:
            states[line["trial_id"]] = line["state"]
    faults += [f"trial {number} is RUNNING" for number, state in enumerate(states) if state == RUNNING]
    ends = dict(Counter(row["end"] for row in rows))
    return {"trials": len(rows), "ends": ends, "proposed": len(states), "faults": faults}


if __name__ == "__main__":
    main()
