"""Judging a classifier: ours beside `transformers.Trainer.predict` at its defaults, in rows per CPU second, and its memory.

    python -m benchmarks.labelling [--rows 2000] [--rounds 3] [--threads 1] [--json FILE]

MiniLM is trained on 320 film reviews (all weights, as the job `full` of `jobs.py`), and other reviews are judged: by
`evaluate.predict`, in float32 and as runs of this processor are judged (in bfloat16 where it multiplies that); and by
`Trainer.predict` with its defaults (float32, 8 rows a batch in the order in which they come, padded to the longest).  Rows are encoded before.  Everybody is
a process of its own, in turn, round by round.  Seconds are of the CPU, user and system, all threads, from the first batch
to the last prediction; peak memory is the largest resident size of the whole process, beside that of the training.

Exit code 1 when a row's scores in float32 are more than 1e-5 from the Trainer's: difference of logits, which is all that
probabilities know of them.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import Starter, columns, machine, say
from benchmarks.worker import cpu_s, peak_rss_mb

JOB = "full"
OURS, HALF, THEIRS = "ours", "ours-half", "trainer"
SYSTEMS = {OURS: "weitiao, float32", HALF: "weitiao, as its runs", THEIRS: "Trainer.predict, defaults"}
SAME = 1e-5
TRAINED = 320
"""Rows of the training: ten steps, for what it holds is the same in every step."""


def main(words: Sequence[str] | None = None) -> None:
    """Train once, judge in turn, print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.labelling", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--rows", type=int, default=2000, help="that are judged, at most (default: 2000)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of every process (default: 1)")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="weitiao-bench-") as temporary:
        folder = Path(temporary)
        start, rows = Starter(folder, threads=asked.threads), folder / "rows.json"
        start("benchmarks.rows", rows, "--jobs", JOB)
        dealt = json.loads(rows.read_text(encoding="utf-8"))
        dealt[JOB] |= {
            "train": dealt[JOB]["train"][:TRAINED],
            "held_out": dealt[JOB]["held_out"][: asked.rows],
        }
        rows.write_text(json.dumps(dealt), encoding="utf-8")
        say(facts := machine(threads=asked.threads))
        start("benchmarks.worker", JOB, "weitiao", rows, folder)
        trained = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        (folder / "adapter").rename(folder / "run" / "model")
        found: dict[str, list[dict[str, Any]]] = {system: [] for system in SYSTEMS}
        for turn in range(asked.rounds):
            for system, runs in found.items():
                start("benchmarks.labelling", system, rows, folder / "run", file := folder / "told.json")
                runs.append(json.loads(file.read_text(encoding="utf-8")))
                print(
                    f"  round {turn + 1}/{asked.rounds} {system}: {runs[-1]['cpu_s']:.1f} CPU s",
                    file=sys.stderr,
                )
    print(table(found, training_mb=trained["peak_rss_mb"]))
    if asked.json:
        asked.json.write_text(
            json.dumps({"machine": facts, "trained": trained, "systems": found}), encoding="utf-8"
        )
    if apart(found[OURS][0], found[THEIRS][0]) > SAME:
        raise SystemExit(1)


def apart(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """The largest distance between what two systems say of a row."""
    return max(abs(a - b) for a, b in zip(ours["logits"], theirs["logits"], strict=True))


def table(found: dict[str, list[dict[str, Any]]], *, training_mb: float) -> str:
    """A line a system: medians over the rounds, and how many times the Trainer's in the same round."""
    lines: list[tuple[str, ...]] = [
        (
            "",
            "CPU s",
            "rows per CPU s",
            "times Trainer's",
            "wall s",
            "peak MB",
            "of the training's",
            "furthest logit",
        )
    ]
    count = len(found[OURS][0]["logits"])
    for system, runs in found.items():
        cpu = statistics.median(run["cpu_s"] for run in runs)
        times = statistics.median(
            theirs["cpu_s"] / run["cpu_s"] for run, theirs in zip(runs, found[THEIRS], strict=True)
        )
        peak = statistics.median(run["peak_rss_mb"] for run in runs)
        lines.append(
            (
                SYSTEMS[system],
                *(f"{cpu:.2f}", f"{count / cpu:.0f}", f"{times:.2f}"),
                f"{statistics.median(run['wall_s'] for run in runs):.2f}",
                *(f"{peak:.0f}", f"{peak / training_mb:.2f}"),
                f"{apart(runs[0], found[THEIRS][0]):.1e}",
            )
        )
    title = f"{count:,} rows; the training held {training_mb:.0f} MB"
    return "\n".join([title, *columns(lines)])


def judged(system: str, texts: Sequence[str], run_folder: Path) -> dict[str, Any]:
    """What one system says of the texts, and what that took."""
    import weitiao as wt
    from weitiao.core.contracts import Record

    run = wt.load(run_folder)
    records = [Record("", n, {"text": text, "label": None}) for n, text in enumerate(texts)]
    examples = [example for _, example in run.read(records)]
    say = _trainer(run_folder) if system == THEIRS else _ours(run, half=system == HALF)
    say(examples[:16])  # the first products set things up
    cpu, wall = cpu_s(), time.perf_counter()
    logits = say(examples)
    return {
        "cpu_s": cpu_s() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak_rss_mb": peak_rss_mb(),
        "logits": logits,
    }


def _ours(run: Any, *, half: bool) -> Any:
    from weitiao.evaluate.predict import predict
    from weitiao.models.store import load_tuned

    recipe, labels = run.recipe, run.task.labels
    train, precision = recipe.train, recipe.train.half if half else None
    if half:
        loaded = run.tuned
    else:
        words = {
            "ref": recipe.model,
            "task": run.task,
            "method": run.method,
            "half": None,
            "seed": recipe.seed,
        }
        loaded = load_tuned(run.folder.model, **words)

    def say(examples: Sequence[Any]) -> list[float]:
        told = predict(
            loaded, run.task, examples, batch_size=train.per_device_eval_batch_size, half=precision
        )
        return [math.log(one["scores"][labels[1]] / one["scores"][labels[0]]) for one in told]

    return say


def _trainer(run_folder: Path) -> Any:
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    folder = run_folder / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    trainer = Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(folder),
        args=TrainingArguments(str(run_folder / "trainer"), report_to="none", disable_tqdm=True),
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
    )

    def say(examples: Sequence[Any]) -> list[float]:
        rows = [{name: list(map(int, ids)) for name, ids in one.inputs.items()} for one in examples]
        logits_NL = torch.from_numpy(trainer.predict(rows).predictions).double()
        return (logits_NL[:, 1] - logits_NL[:, 0]).tolist()

    return say


def _told(system: str, rows: str, run_folder: str, file: str) -> None:
    dealt = json.loads(Path(rows).read_text(encoding="utf-8"))[JOB]
    told = judged(system, [row["text"] for row in dealt["held_out"]], Path(run_folder))
    Path(file).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    _told(*sys.argv[1:]) if sys.argv[1:2] and sys.argv[1] in SYSTEMS else main()
