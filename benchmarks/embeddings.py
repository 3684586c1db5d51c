"""Pairs a CPU second: `task: embedding` beside sentence-transformers' trainer, same rows, same batch.

    python -m benchmarks.embeddings                   all rows of the job, two rounds
    python -m benchmarks.embeddings --rows 640        fewer

Needs sentence-transformers, datasets and accelerate.  Each run is a process of its own; ours and theirs take turns, and a
ratio compares runs of one round.  CPU time is that of training alone: reading, encoding and all steps, without imports,
opening of the base, and judging.  Both meet the same pairs once, in batches of 64, full fine-tuning with AdamW at one rate; ours
in its default precision (bfloat16, if the processor has it) and in float32, theirs in its own (float32) and in bfloat16.  One judge, plain
Transformers in float32, ranks the same held-out passages.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SYSTEMS = ("ours", "ours-float32", "theirs", "theirs-bf16")
BATCH, RATE, LONGEST, HELD_OUT = 64, 3e-4, 128, 1000


def cpu() -> float:
    """CPU seconds of this process and its children so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def ours(train: Path, folder: Path, *, float32: bool) -> float:
    """Trains; CPU seconds from the encoded rows to the last step."""
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
    wt.train(
        model="minilm-l6",
        task="embedding",
        method="full",
        data={
            "train": str(train),
            "max_length": LONGEST,
            "cache": False,
            "split": {"validation": 0, "test": 0},
        },
        train={
            "num_train_epochs": 1,
            "learning_rate": RATE,
            "per_device_train_batch_size": BATCH,
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


def theirs(train: Path, folder: Path, *, bf16: bool) -> float:
    """The same by `SentenceTransformerTrainer`, as its documentation does it."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    from weitiao.models.assets.catalog import model_path

    model = SentenceTransformer(str(model_path("minilm-l6")), device="cpu")
    model.max_seq_length = LONGEST
    rows = [json.loads(line) for line in train.read_text(encoding="utf-8").splitlines()]
    pairs = Dataset.from_list([{"anchor": row["query"], "positive": row["passage"]} for row in rows])
    asked = SentenceTransformerTrainingArguments(
        output_dir=str(folder / "out"),
        num_train_epochs=1,
        per_device_train_batch_size=BATCH,
        learning_rate=RATE,
        warmup_steps=0.06,
        weight_decay=0.01,
        batch_sampler="no_duplicates",
        bf16=bf16,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = SentenceTransformerTrainer(
        model, asked, train_dataset=pairs, loss=MultipleNegativesRankingLoss(model)
    )
    began = cpu()
    trainer.train()
    seconds = cpu() - began
    model.save(str(folder / "model"))
    return seconds


def recall(model: Path, rows: list[dict[str, str]]) -> float:
    """Recall@10 of held-out rows, mean pooling, by plain Transformers."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, body = AutoTokenizer.from_pretrained(model), AutoModel.from_pretrained(model).eval()
    sides = []
    with torch.no_grad():
        for name in ("query", "passage"):
            vectors = []
            for start in range(0, len(rows), 50):
                texts = [row[name] for row in rows[start : start + 50]]
                read = tokenizer(
                    texts, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
                )
                mask = read["attention_mask"][..., None]
                pooled = (body(**read).last_hidden_state * mask).sum(1) / mask.sum(1)
                vectors.append(torch.nn.functional.normalize(pooled, dim=-1))
            sides.append(torch.cat(vectors))
    scores = sides[0] @ sides[1].T
    ranks = (scores >= scores.diag()[:, None]).sum(1)
    return (ranks <= 10).float().mean().item()


def main() -> None:
    """The rounds, and a table of the medians."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=3200)
    asked.add_argument("--rounds", type=int, default=2)
    asked.add_argument("--one", choices=SYSTEMS)
    asked.add_argument("--folder", type=Path)
    words = asked.parse_args()
    if words.one:
        train = words.folder.parent / "train.jsonl"
        done = (
            ours(train, words.folder, float32=words.one == "ours-float32")
            if words.one.startswith("ours")
            else theirs(train, words.folder, bf16=words.one == "theirs-bf16")
        )
        held = (words.folder.parent / "held-out.jsonl").read_text(encoding="utf-8").splitlines()
        found = recall(words.folder / "model", [json.loads(line) for line in held])
        print(json.dumps({"seconds": done, "recall": found}))
        return
    import random

    from weitiao.models.assets.catalog import dataset_path

    lines = dataset_path("word-search").read_text(encoding="utf-8").splitlines()
    random.Random(0).shuffle(lines)
    with tempfile.TemporaryDirectory() as home:
        Path(home, "train.jsonl").write_text("\n".join(lines[: words.rows]) + "\n", encoding="utf-8")
        held = lines[words.rows : words.rows + HELD_OUT]
        Path(home, "held-out.jsonl").write_text("\n".join(held) + "\n", encoding="utf-8")
        for number in range(words.rounds):
            found = {}
            for system in SYSTEMS:
                folder = Path(home, f"{system}-{number}")
                line = [
                    sys.executable,
                    "-m",
                    "benchmarks.embeddings",
                    "--one",
                    system,
                    "--folder",
                    str(folder),
                ]
                env = {**os.environ, "OMP_NUM_THREADS": "1", "WEITIAO_LANG": "en", "HF_HUB_OFFLINE": "1"}
                said = subprocess.run(line, check=True, env=env, stdout=subprocess.PIPE, text=True)
                found[system] = json.loads(said.stdout.splitlines()[-1])
            for system, one in found.items():
                ratio = one["seconds"] / found["ours"]["seconds"]
                pairs = words.rows / one["seconds"]
                print(
                    f"{number}  {system:12}  {pairs:7.1f} pairs a CPU s  x{ratio:.2f}  recall@10 {one['recall']:.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
