"""What do small trials of a search cost beside the same trainings one after another?  CPU time of their processes.

python -m benchmarks.trials [--trials 8] [--rows 200] [--method lora] [--threads 1]

A search, then every trial's recipe on its own rows by `weitiao train`, a process each, MiniLM on film reviews of at most 32
tokens.  Losses of every step must be equal.  What planning, choosing and judging took beside the trials is said, too.  Exit
code 1 when the search makes less than twice the trials per CPU second.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import weitiao as wt
from benchmarks.__main__ import environment, machine, say
from benchmarks.cv import _measured as measured
from weitiao.core.files import read_lines, write_text
from weitiao.core.run import RunFolder
from weitiao.stages.dealt import hand_on
from weitiao.stages.events import silent

LEAST = 2.0
"""Trials per CPU second, as a ratio."""
SPACE = {
    "lora": ("method.r=4..64:log", "train.learning_rate=1e-4..5e-3:log"),
    "head": ("train.learning_rate=1e-4..1e-2:log",),
}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trials", description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--method", choices=list(SPACE), default="lora")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(words)
    say(machine(threads=asked.threads))
    with tempfile.TemporaryDirectory(prefix="weitiao-bench-") as temporary:
        folder = Path(temporary)
        recipe = {
            "model": "minilm-l6",
            "task": "text_classification",
            "method": asked.method,
            "data": {"train": f"film-reviews#{asked.rows}", "max_length": 32},
            "train": {"num_train_epochs": 1, "per_device_train_batch_size": 8},
            "output_dir": str(folder / "search"),
        }
        variables = environment(asked.threads, folder)
        os.environ.update({key: value for key, value in variables.items() if key != "HF_HOME"})
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time()
        found = wt.search(recipe, trials=asked.trials, how="random", space=SPACE[asked.method], tell=silent)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        beside = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        own = time.process_time() - started
        alone = 0.0
        for row in found.results["trials"]:
            trial, again = RunFolder(found.path / row["folder"]), RunFolder(folder / row["label"])
            asks = trial.recipe.model_copy(update={"output_dir": str(again.path)})
            write_text(again.path / "recipe.yaml", asks.to_yaml())
            hand_on(trial, again, asks)
            alone += measured("train", again.path / "recipe.yaml", folder, "--resume", threads=asked.threads)
            if _losses(trial) != _losses(again):
                raise SystemExit(f"{row['label']} is not what it is alone")
    print(
        f"{asked.trials} trials: {beside:.1f} CPU s, and {own:.1f} of the search itself; one by one {alone:.1f}"
    )
    print(
        f"{alone / beside:.2f} times the trials per CPU second, {alone / (beside + own):.2f} with the search itself"
    )
    if alone / beside < LEAST:
        raise SystemExit(1)


def _losses(run: RunFolder) -> list[float]:
    return [fact["loss"] for fact in read_lines(run.path / "log.jsonl") if fact["event"] == "step"]


if __name__ == "__main__":
    main()
