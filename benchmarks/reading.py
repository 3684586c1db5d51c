"""Rows a CPU second: `task: reranking` beside sentence-transformers' CrossEncoder trainer, `task: question_answering` beside
Transformers' Trainer; same rows, same order of batches in size, one rate.

    python -m benchmarks.reading reranking             400 queries of four passages
    python -m benchmarks.reading question_answering    600 questions

Each run is a process of its own; ours and theirs take turns, and a ratio compares runs of one round.  CPU time is that of
training alone, encoding included: without imports, opening of the base, and judging.  Full fine-tuning of MiniLM-L6, one epoch
of AdamW; ours in its default precision (bfloat16, if the processor has it) and in float32.  Trainer fills questions up to 384
tokens, as the example script for SQuAD does unless it is told otherwise, or to the longest of the batch (`-dynamic`).  One
judge, plain Transformers in float32, has the loss of the same held-out rows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.embeddings import cpu

BATCH, RATE, LONGEST, HELD_OUT = 16, 1e-4, 384, 100
BESIDE = 3
"""Wrong passages of a query."""
SYSTEMS = {
    "reranking": ("ours", "ours-float32", "theirs"),
    "question_answering": ("ours", "ours-float32", "theirs", "theirs-dynamic"),
}
Rows = list[dict[str, Any]]


def reranking_rows(count: int) -> Rows:
    """Definitions of WordNet's, the words that are meant, and words that are not, drawn."""
    from weitiao.models.assets.catalog import dataset_path

    rows = [json.loads(line) for line in dataset_path("word-search").read_text(encoding="utf-8").splitlines()]
    chance = random.Random(0)
    chance.shuffle(rows)
    return [
        {
            "query": row["query"],
            "passages": [row["passage"], *(chance.choice(rows)["passage"] for _ in range(BESIDE))],
            "labels": [1.0] + [0.0] * BESIDE,
        }
        for row in rows[:count]
    ]


def question_answering_rows(count: int) -> Rows:
    """Questions derived from WordNet."""
    from weitiao.models.assets.catalog import dataset_path

    lines = dataset_path("word-meanings").read_text(encoding="utf-8").splitlines()
    random.Random(0).shuffle(lines)
    return [json.loads(line) for line in lines[:count]]


def ours(job: str, train: Path, folder: Path, *, float32: bool) -> float:
    """Trains; CPU seconds from rows to the last step."""
    import weitiao as wt
    from weitiao.stages.kept_rows import kept
    from weitiao.train.loop import Watcher

    class Clock(Watcher):
        seconds = 0.0

        def on_start(self, training: Any) -> None:
            self.began = cpu()

        def on_end(self, training: Any) -> None:
            self.seconds = cpu() - self.began

    clock = Clock()
    lists = job == "reranking"
    wt.train(
        model="minilm-l6",
        task=job,
        method="full",
        data={
            "train": str(train),
            "max_length": LONGEST,
            "cache": False,
            "near_duplicates": "keep",
            "duplicates": "keep",
            "split": {"validation": 0, "test": 0},
        },
        train={
            "num_train_epochs": 1,
            "learning_rate": RATE,
            "per_device_train_batch_size": BATCH // (1 + BESIDE) if lists else BATCH,
            "eval_strategy": "no",
            "save_strategy": "no",
            "load_best_model_at_end": False,
            "early_stopping_patience": None,
            **({"bf16": False} if float32 else {}),
        },
        output_dir=str(folder),
        watchers=[clock],
    )
    # Encoding comes before the loop: it is asked again, alone.
    run = wt.load(folder)
    records = [record for record, _ in kept(run.folder, "train")]
    processor, began = run.tuned.processor, cpu()
    list(run.task.encode(records, processor, limit=LONGEST))
    return clock.seconds + cpu() - began


def crossed(train: Rows, folder: Path) -> float:
    """By `CrossEncoderTrainer`, as its documentation does it."""
    from datasets import Dataset
    from sentence_transformers.cross_encoder import (
        CrossEncoder,
        CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
    )
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

    from weitiao.models.assets.catalog import model_path

    model = CrossEncoder(str(model_path("minilm-l6")), num_labels=1, max_length=LONGEST, device="cpu")
    pairs = [
        {"query": row["query"], "passage": text, "label": label}
        for row in train
        for text, label in zip(row["passages"], row["labels"], strict=True)
    ]
    asked = CrossEncoderTrainingArguments(**_arguments(folder))
    trainer = CrossEncoderTrainer(
        model, asked, train_dataset=Dataset.from_list(pairs), loss=BinaryCrossEntropyLoss(model)
    )
    return _timed(trainer, lambda: model.save_pretrained(str(folder / "model")))


def spanned(train: Rows, folder: Path, *, dynamic: bool) -> float:
    """By Transformers' Trainer, encoded as its example script does."""
    from transformers import (
        AutoModelForQuestionAnswering,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        default_data_collator,
    )

    from weitiao.models.assets.catalog import model_path

    base = str(model_path("minilm-l6"))
    tokenizer, model = (kind.from_pretrained(base) for kind in (AutoTokenizer, AutoModelForQuestionAnswering))
    began = cpu()
    read = spans(tokenizer, train, filled=not dynamic)
    encoding = cpu() - began
    collator = DataCollatorWithPadding(tokenizer) if dynamic else default_data_collator
    trainer = Trainer(
        model, TrainingArguments(**_arguments(folder)), data_collator=collator, train_dataset=read
    )

    def save() -> None:
        model.save_pretrained(folder / "model")
        tokenizer.save_pretrained(folder / "model")

    return encoding + _timed(trainer, save)


def _arguments(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "out"),
        "num_train_epochs": 1,
        "per_device_train_batch_size": BATCH,
        "learning_rate": RATE,
        "warmup_steps": 0.06,
        "weight_decay": 0.01,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
    }


def _timed(trainer: Any, save: Callable[[], Any]) -> float:
    began = cpu()
    trainer.train()
    seconds = cpu() - began
    save()
    return seconds


def spans(tokenizer: Any, rows: Rows, *, filled: bool) -> Rows:
    """Ids, and the tokens at which each first answer begins and ends; 0 where there is none."""
    read = tokenizer(
        [row["question"] for row in rows],
        [row["context"] for row in rows],
        truncation="only_second",
        max_length=LONGEST,
        padding="max_length" if filled else False,
        return_offsets_mapping=True,
    )
    made = []
    for place, row in enumerate(rows):
        answers, first, last = row["answers"], 0, 0
        if answers:
            begin = answers[0]["answer_start"]
            end = begin + len(answers[0]["text"])
            sides = read.sequence_ids(place)
            own = [
                at
                for at, (start, stop) in enumerate(read["offset_mapping"][place])
                if sides[at] == 1 and start < end and stop > begin
            ]
            first, last = (own[0], own[-1]) if own else (0, 0)
        one = {name: read[name][place] for name in ("input_ids", "attention_mask", "token_type_ids")}
        made.append({**one, "start_positions": first, "end_positions": last})
    return made


def loss_of(job: str, model: Path, rows: Rows) -> float:
    """Of held-out rows, by plain Transformers: of each pair, or of each question."""
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    kind = AutoModelForSequenceClassification if job == "reranking" else AutoModelForQuestionAnswering
    body, total, count = kind.from_pretrained(model).eval().float(), 0.0, 0
    with torch.no_grad():
        if job == "reranking":
            for row in rows:
                queries = [row["query"]] * len(row["passages"])
                read = tokenizer(queries, row["passages"], padding=True, return_tensors="pt")
                goal = torch.tensor(row["labels"])
                said = body(**read).logits[:, 0]
                total += torch.nn.functional.binary_cross_entropy_with_logits(
                    said, goal, reduction="sum"
                ).item()
                count += len(goal)
        else:
            for one in spans(tokenizer, rows, filled=False):
                total += body(**{name: torch.tensor([value]) for name, value in one.items()}).loss.item()
                count += 1
    return total / count


def main() -> None:
    """The rounds."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("job", choices=SYSTEMS)
    asked.add_argument("--rows", type=int)
    asked.add_argument("--rounds", type=int, default=1)
    asked.add_argument("--one")
    asked.add_argument("--folder", type=Path)
    words = asked.parse_args()
    job, count = words.job, words.rows or {"reranking": 400, "question_answering": 600}[words.job]
    rows = globals()[f"{job}_rows"](count + HELD_OUT)
    train, held = rows[:count], rows[count:]
    if words.one:
        if words.one.startswith("ours"):
            file = words.folder.parent / "train.jsonl"
            done = ours(job, file, words.folder, float32=words.one == "ours-float32")
        elif job == "reranking":
            done = crossed(train, words.folder)
        else:
            done = spanned(train, words.folder, dynamic=words.one == "theirs-dynamic")
        print(json.dumps({"seconds": done, "loss": loss_of(job, words.folder / "model", held)}))
        return
    each = 1 + BESIDE if job == "reranking" else 1
    with tempfile.TemporaryDirectory() as home:
        lines = "".join(json.dumps(row) + "\n" for row in train)
        Path(home, "train.jsonl").write_text(lines, encoding="utf-8")
        for number in range(words.rounds):
            found = {}
            for system in SYSTEMS[job]:
                line = [
                    sys.executable,
                    "-m",
                    "benchmarks.reading",
                    job,
                    "--rows",
                    str(count),
                    "--one",
                    system,
                ]
                line += ["--folder", str(Path(home, f"{system}-{number}"))]
                env = {**os.environ, "OMP_NUM_THREADS": "1", "WEITIAO_LANG": "en", "HF_HUB_OFFLINE": "1"}
                said = subprocess.run(line, check=True, env=env, stdout=subprocess.PIPE, text=True)
                found[system] = json.loads(said.stdout.splitlines()[-1])
                one = found[system]
                ratio, rate = one["seconds"] / found["ours"]["seconds"], each * count / one["seconds"]
                what = "pairs" if each > 1 else "questions"
                print(
                    f"{number}  {system:14}  {rate:7.1f} {what} a CPU s  x{ratio:.2f}  loss {one['loss']:.4f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
