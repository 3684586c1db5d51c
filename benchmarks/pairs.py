"""Learning pairs: ours beside `transformers.Seq2SeqTrainer` at its defaults, in tokens of both sides per CPU second.

    python -m benchmarks.pairs [--rows 192] [--rounds 2] [--threads 1] [--json FILE]

`minilm-pair`, all weights, instructions and answers of alpaca-en that fit into 128 tokens a side (of any length below
that), one epoch of batches of 8, no dropout, one learning rate and schedule: by `wt.train` in float32 and as its runs are
(in bfloat16 where the processor multiplies that), and by `Seq2SeqTrainer` with its defaults (float32, rows in random
order, filled up to the longest of their batch on both sides).  Every run is a process of its own, in turn, round by
round, a round a seed (which rows share a batch).  CPU seconds, user and system, all threads, of the steps alone.  Plain
Transformers in float32 then says the loss of 64 other rows under each model: the mean of the rounds, and how far apart the
lowest and the highest lie.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import Starter, columns, machine, rounds, say
from benchmarks.worker import cpu_s, peak_rss_mb

MODEL, DATA, LONGEST, BATCH, RATE, HELD_OUT = "minilm-pair", "alpaca-en", 128, 8, 3e-4, 64
OURS, HALF, THEIRS = "ours", "ours-half", "trainer"
SYSTEMS = {OURS: "weitiao, float32", HALF: "weitiao, as its runs", THEIRS: "Seq2SeqTrainer, defaults"}


def main(words: Sequence[str] | None = None) -> None:
    """Deal the rows, train in turn, print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pairs", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of every process (default: 1)")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="weitiao-bench-") as temporary:
        folder = Path(temporary)
        start = Starter(folder, threads=asked.threads)
        say(facts := machine(threads=asked.threads))
        start("benchmarks.pairs", "deal", str(asked.rows), folder)

        def measure(system: str, turn: int) -> dict[str, Any]:
            start("benchmarks.pairs", "train", system, folder, str(turn))
            return json.loads((folder / "facts.json").read_text(encoding="utf-8"))

        found = rounds(SYSTEMS, asked.rounds, measure)
    print(table(found))
    if asked.json:
        asked.json.write_text(json.dumps({"machine": facts, "systems": found}), encoding="utf-8")


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """A line a system: medians over the rounds, and how many times the Trainer's in the same round."""
    lines: list[tuple[str, ...]] = [
        ("", "CPU s", "tokens per CPU s", "times Trainer's", "peak MB", "loss of other rows")
    ]
    for system, runs in found.items():
        rate = statistics.median(run["tokens"] / run["cpu_s"] for run in runs)
        times = statistics.median(
            theirs["cpu_s"] / run["cpu_s"] for run, theirs in zip(runs, found[THEIRS], strict=True)
        )
        cpu, peak = (statistics.median(run[name] for run in runs) for name in ("cpu_s", "peak_rss_mb"))
        losses = [run["loss"] for run in runs]
        loss = f"{statistics.mean(losses):.3f} ({max(losses) - min(losses):.3f})"
        lines.append((SYSTEMS[system], f"{cpu:.1f}", f"{rate:.0f}", f"{times:.2f}", f"{peak:.0f}", loss))
    return "\n".join(columns(lines))


def deal(count: int, folder: Path) -> None:
    """Rows that fit, and others to judge by."""
    from transformers import AutoTokenizer

    from weitiao.models.assets.catalog import dataset_path, model_path

    tokenizer = AutoTokenizer.from_pretrained(model_path(MODEL))
    rows = []
    for line in dataset_path(DATA).read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        row = {"source": f"{said['instruction']} {said['input']}".strip(), "target": said["output"]}
        if all(row.values()) and max(len(tokenizer(text)["input_ids"]) for text in row.values()) <= LONGEST:
            rows.append(row)
    for name, part in (("train", rows[:count]), ("held-out", rows[-HELD_OUT:])):
        (folder / f"{name}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in part), encoding="utf-8"
        )


def train(system: str, folder: Path, seed: int) -> None:
    """One run, its clock and the loss of other rows."""
    clock, made = _theirs(folder, seed) if system == THEIRS else _ours(folder, seed, half=system == HALF)
    facts = {**clock, "peak_rss_mb": peak_rss_mb(), "loss": _loss(made, folder)}
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def _ours(folder: Path, seed: int, *, half: bool) -> tuple[dict[str, float], Any]:
    import shutil

    import weitiao as wt

    class Ticks(wt.Watcher):
        def __init__(self) -> None:
            self.start = self.stop = 0.0
            self.tokens = 0

        def tell(self, event: str, **facts: Any) -> None:
            if event == "training":
                self.start = cpu_s()

        def on_step(self, training: Any) -> None:
            self.stop = cpu_s()
            self.tokens += int(training.facts["tokens"])

    shutil.rmtree(folder / "run", ignore_errors=True)
    ticks = Ticks()
    settings = {} if half else {"bf16": False}
    run = wt.train(
        model=MODEL,
        task={"name": "seq2seq", "max_target_length": LONGEST},
        method="full",
        data={
            "train": str(folder / "train.jsonl"),
            "max_length": LONGEST,
            "overlong": "fail",
            "duplicates": "keep",
            "cache": False,
            "split": {"validation": 0, "test": 0},
        },
        train={
            "num_train_epochs": 1,
            "per_device_train_batch_size": BATCH,
            "learning_rate": RATE,
            "warmup_steps": 0,
            "weight_decay": 0.0,
            "dropout": 0.0,
            "eval_strategy": "no",
            "save_strategy": "no",
            "load_best_model_at_end": False,
            "early_stopping_patience": None,
            **settings,
        },
        output_dir=str(folder / "run"),
        seed=seed,
        watchers=[ticks],
        tell=ticks.tell,
    )
    return {"cpu_s": ticks.stop - ticks.start, "tokens": ticks.tokens}, run.path / "model"


def _theirs(folder: Path, seed: int) -> tuple[dict[str, float], Any]:
    from transformers import (
        AutoConfig,
        AutoModelForSeq2SeqLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Seq2SeqTrainer,
        Seq2SeqTrainingArguments,
    )

    from weitiao.models import dropouts
    from weitiao.models.assets.catalog import model_path

    source = model_path(MODEL)
    config = AutoConfig.from_pretrained(source)
    dropouts.put(config, 0.0)
    model, tokenizer = (
        AutoModelForSeq2SeqLM.from_pretrained(source, config=config),
        AutoTokenizer.from_pretrained(source),
    )
    rows = []
    for row in _rows(folder, "train"):
        told = tokenizer(row["source"], text_target=row["target"])
        rows.append({name: told[name] for name in ("input_ids", "attention_mask", "labels")})
    trainer = Seq2SeqTrainer(
        model,
        Seq2SeqTrainingArguments(
            str(folder / "theirs"),
            num_train_epochs=1,
            per_device_train_batch_size=BATCH,
            learning_rate=RATE,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            seed=seed,
        ),
        train_dataset=rows,
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
        processing_class=tokenizer,
    )
    start = cpu_s()
    trainer.train()
    used = cpu_s() - start
    return {"cpu_s": used, "tokens": sum(len(r["input_ids"]) + len(r["labels"]) for r in rows)}, model


def _loss(made: Any, folder: Path) -> float:
    """Mean loss of a token of other rows, one by one, by Transformers' own head."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    from weitiao.models.assets.catalog import model_path

    model = AutoModelForSeq2SeqLM.from_pretrained(made) if isinstance(made, Path) else made
    tokenizer, total, count = AutoTokenizer.from_pretrained(model_path(MODEL)), 0.0, 0
    model.eval()
    with torch.no_grad():
        for row in _rows(folder, "held-out"):
            told = tokenizer(row["source"], text_target=row["target"], return_tensors="pt")
            labels = told["labels"]
            words = {name: told[name] for name in ("input_ids", "attention_mask")}
            total += float(model(**words, labels=labels).loss) * labels.numel()
            count += labels.numel()
    return total / count


if __name__ == "__main__":
    if sys.argv[1:2] == ["deal"]:
        deal(int(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1:2] == ["train"]:
        train(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
