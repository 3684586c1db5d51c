"""Does judging need no more memory than training did?  A classifier and a model that answers, each in processes of its own.

python -m benchmarks.judge_memory [--rows 400] [--talks 64] [--threads 1]

`weitiao train`, then `weitiao evaluate` of the run in a new process: tuned, untuned, baselines, answers in words and the
page.  The largest resident size when training ends, of the whole of `train`, and of `evaluate`; exit code 1 where
either of the last two is above the first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.__main__ import environment, machine, say

JOBS = {
    "classifier": "{{model: minilm-l6, task: text_classification, data: {{train: 'film-reviews#{rows}'}}, ",
    "chat": "{{model: smollm2-135m, task: sft, data: {{train: 'alpaca-en#{talks}', max_length: 256}}, ",
}
MOST = 1.005
"""What writing the last line of the log may take."""
REST = (
    "method: lora, train: {{num_train_epochs: 1}}, evaluate: {{max_new_tokens: 64}}, output_dir: {folder}}}"
)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.judge_memory", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--talks", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(words)
    say(machine(threads=asked.threads))
    more = False
    for name, job in JOBS.items():
        with tempfile.TemporaryDirectory(prefix="weitiao-bench-") as temporary:
            folder = Path(temporary)
            recipe, run = folder / "recipe.yaml", folder / "run"
            facts = {"rows": asked.rows, "talks": asked.talks, "folder": run}
            recipe.write_text((job + REST).format(**facts), encoding="utf-8")
            whole = peak_mb("train", recipe, folder=folder, threads=asked.threads)
            log = map(json.loads, (run / "log.jsonl").read_text(encoding="utf-8").splitlines())
            trained = next(line for line in log if line["event"] == "end")["peak_memory_mb"]
            judged = peak_mb("evaluate", run, folder=folder, threads=asked.threads)
        print(
            f"{name}: training {trained:.0f} MB, with judging behind it {whole:.0f} ({whole / trained:.3f}); "
            f"judging alone {judged:.0f} MB, {judged / trained:.2f} of the training's"
        )
        more = more or max(judged, whole) > trained * MOST
    if more:
        raise SystemExit(1)


def peak_mb(*words: object, folder: Path, threads: int) -> float:
    """The largest resident size of `weitiao WORDS`."""
    command = [sys.executable, "-m", "weitiao", *map(str, words), "--quiet"]
    variables = {k: v for k, v in environment(threads, folder).items() if k != "HF_HOME"}
    with (folder / "said").open("w+") as said:
        child = subprocess.Popen(command, env=variables, stdout=said, stderr=said)
        # What one child took: RUSAGE_CHILDREN would tell the largest of all.
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)} gave {child.returncode}:\n{said.read()[-3000:]}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


if __name__ == "__main__":
    main()
