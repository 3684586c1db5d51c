"""What does cross-validation cost beside one training?  CPU time of whole processes, judging and pages included.

python -m benchmarks.cv [--folds 5] [--rows 1000] [--epochs 3] [--threads 1]

`weitiao train RECIPE`, then `weitiao cv RECIPE`, MiniLM with LoRA on film reviews.  Exit code 1 when five folds
cost more than 5.1 trainings (n folds: n + 0.1).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.__main__ import environment, machine, say

MOST = 0.1
"""Trainings that a cross-validation may cost more than it has folds."""


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cv", description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(words)
    say(machine(threads=asked.threads))
    with tempfile.TemporaryDirectory(prefix="weitiao-bench-") as temporary:
        folder = Path(temporary)
        recipe = folder / "recipe.yaml"
        recipe.write_text(
            "{model: minilm-l6, task: text_classification, "
            f"train: {{num_train_epochs: {asked.epochs}}}, "
            f"data: {{train: film-reviews#{asked.rows}, cache: false}}, output_dir: {folder / 'one'}}}\n"
        )
        one = _measured("train", recipe, folder, threads=asked.threads)
        all_ = _measured(
            "cv", recipe, folder, "--folds", asked.folds, f"output_dir={folder / 'cv'}", threads=asked.threads
        )
        found = json.loads((folder / "cv" / "cv.json").read_text(encoding="utf-8"))
    ratio = all_ / one
    print(f"train: {one:.1f} CPU s; cv, {asked.folds} folds: {all_:.1f} CPU s; {ratio:.2f} trainings")
    print(found["sentence"])
    if ratio > asked.folds + MOST:
        raise SystemExit(1)


def _measured(verb: str, recipe: Path, folder: Path, *words: object, threads: int) -> float:
    """CPU seconds of the process and all that it starts, user and system."""
    command = [sys.executable, "-m", "weitiao", verb, str(recipe), *map(str, words), "--quiet"]
    variables = {k: v for k, v in environment(threads, folder).items() if k != "HF_HOME"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} gave {done.returncode}:\n{done.stderr[-3000:]}")
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"  {verb}: {seconds:.1f} CPU s, {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True
    )
    return seconds


if __name__ == "__main__":
    main()
