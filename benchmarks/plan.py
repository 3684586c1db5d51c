"""Does `weitiao plan` say what a run will hold?  Every cell of a grid is planned, then trained, each in a fresh process.

python -m benchmarks.plan [CELL ...] [--threads N] [--json FILE]

The measure is the largest resident size of a whole run (load, train, evaluate, save, judge, report); and of it, what
the program holds without any weight is taken off on both sides for the last column.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from weitiao.data.read import read

ALLOWED = 0.15
REVIEWS = {"model": "minilm-l6", "task": "text_classification", "data": {"train": ["film-reviews#400"]}}
LONG = {"model": "minilm-l6", "task": "text_classification", "data": {"train": ["long.csv"]}}
CHAT = {"model": "smollm2-135m", "task": "sft", "data": {"train": ["alpaca-en#60"], "max_length": 512}}
FEW = {"train.max_steps": 3, "train.per_device_eval_batch_size": 8, "evaluate.general_text": "none"}
SHORT = {"max_length": 192, "split": {"test": 0.1, "validation": 0.1}}
PAIRS = {"model": "smollm2-135m", "data": {"train": ["film-preferences#60"], **SHORT}}
ASKED = {"model": "smollm2-135m", "data": {"train": ["film-prompts#40"], **SHORT}}
STUDENT = {"model": "smollm2-135m", "data": {"train": ["alpaca-en#40"], **SHORT}}
RATER = {"model": "smollm2-135m", "task": "reward", "data": {"train": ["film-comparisons#60"], **SHORT}}
CELLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "minilm full, batch 16": (REVIEWS, {"method": "full"}),
    "minilm full, batch 32, long": (LONG, {"method": "full", "train.per_device_train_batch_size": 32}),
    "minilm full, batch 64, long, recomputed": (
        LONG,
        {
            "method": "full",
            "train.per_device_train_batch_size": 64,
            "train.activation_checkpointing": True,
        },
    ),
    "minilm full, batch 16, long, float32": (LONG, {"method": "full", "train.bf16": False}),
    "minilm lora, batch 64, long": (LONG, {"method": "lora", "train.per_device_train_batch_size": 64}),
    "minilm bitfit, batch 64, long": (LONG, {"method": "bitfit", "train.per_device_train_batch_size": 64}),
    "minilm head, batch 64, long": (LONG, {"method": "head", "train.per_device_train_batch_size": 64}),
    "smollm lora, batch 4": (CHAT, {"method": "lora", "train.per_device_train_batch_size": 4}),
    "smollm lora, batch 16": (CHAT, {"method": "lora", "train.per_device_train_batch_size": 16}),
    "smollm lora, batch 16, recomputed": (
        CHAT,
        {
            "method": "lora",
            "train.per_device_train_batch_size": 16,
            "train.activation_checkpointing": True,
        },
    ),
    "smollm lora, batch 4 x 2, float32": (
        CHAT,
        {
            "method": "lora",
            "train.per_device_train_batch_size": 4,
            "train.gradient_accumulation_steps": 2,
            "train.bf16": False,
        },
    ),
    "smollm qlora, batch 8": (CHAT, {"method": "qlora", "train.per_device_train_batch_size": 8}),
    "smollm prefix, batch 8": (CHAT, {"method": "prefix", "train.per_device_train_batch_size": 8}),
    "smollm full, batch 2": (CHAT, {"method": "full", "train.per_device_train_batch_size": 2}),
    "smollm full, batch 8, lion": (
        CHAT,
        {"method": "full", "train.per_device_train_batch_size": 8, "train.optim": "lion"},
    ),
    "dpo full, another reference": (
        {**PAIRS, "task": {"name": "dpo", "ref_model": "smollm2-135m"}},
        {"method": "full", "train.per_device_train_batch_size": 4, "data.cache": False, **FEW},
    ),
    "grpo full, kept copy, reward model": (
        {
            **ASKED,
            "task": {
                "name": "grpo",
                "rewards": [{"name": "reward_model", "run": "rater"}],
                "num_generations": 4,
                "max_completion_length": 48,
                "beta": 0.05,
            },
        },
        {"method": "full", "train.per_device_train_batch_size": 16, **FEW},
    ),
    "distillation lora": (
        {
            **STUDENT,
            "task": {
                "name": "distillation",
                "teacher_model_name_or_path": "smollm2-135m",
                "max_new_tokens": 48,
                "lmbda": 1.0,
            },
        },
        {"method": "lora", "train.per_device_train_batch_size": 4, **FEW},
    ),
}
COMMON = {
    "train.num_train_epochs": 1,
    "train.per_device_eval_batch_size": 16,
    "train.save_total_limit": 1,
    "train.train_sampling_strategy": "group_by_length",
    "data.split.test": 0.1,
    "data.split.validation": 0.1,
    "data.near_duplicates": "keep",
    "evaluate.resamples": 100,
    "evaluate.samples": 0,
}
PLAN = """
import json, sys, torch
torch.set_num_threads(int(sys.argv[1]))
from weitiao import api
found = api.plan(sys.argv[2], overrides=sys.argv[3:])
print(json.dumps(found.to_dict(), default=str))
"""
TRAIN = """
import json, sys, torch
torch.set_num_threads(int(sys.argv[1]))
from weitiao import api
from weitiao.core.files import read_lines
from weitiao.train.memory import resident_bytes
run = api.train(sys.argv[2], overrides=sys.argv[3:])
end = [line for line in read_lines(run.path / "log.jsonl") if line["event"] == "end"][-1]
print(json.dumps({"trained": end["peak_memory_mb"], "whole": resident_bytes() / 1e6}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan", description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", help="words of the cells' names; default: all cells")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    chosen = [name for name in CELLS if not asked.cells or any(word in name for word in asked.cells)]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        _long_rows(Path("long.csv"))
        if any("reward model" in name for name in chosen):
            _rater()
        for name in chosen:
            found[name] = measure(name, threads=asked.threads)
            print(f"{name}: {found[name]}", file=sys.stderr)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    show(found)
    worst = max(abs(each["planned"] / each["measured"] - 1) for each in found.values())
    sys.exit(worst > ALLOWED)


def measure(name: str, *, threads: int) -> dict[str, float]:
    """What was planned and measured, in MB."""
    base, changes = CELLS[name]
    recipe = Path("recipe.yaml")
    recipe.write_text(json.dumps(base), encoding="utf-8")  # JSON is YAML
    folder = {"output_dir": re.sub(r"\W+", "-", name)}
    words = [f"{key}={json.dumps(value)}" for key, value in {**COMMON, **changes, **folder}.items()]
    planned, measured = (_child(code, threads, recipe, words) for code in (PLAN, TRAIN))
    return {
        "planned": planned["peak"] / 1e6,
        "measured": measured["whole"],
        "planned_training": max(
            planned["program"][stage] + planned["stages"][stage]["total"] for stage in ("load", "train")
        )
        / 1e6,
        "measured_training": measured["trained"],
        "program": planned["program"]["load"] / 1e6,
        "activations": planned["stages"]["train"]["activations"] / 1e6,
    }


def _rater() -> None:
    """A reward model of a few steps, in `rater`."""
    Path("rater.yaml").write_text(json.dumps(RATER), encoding="utf-8")
    words = {**COMMON, **FEW, "method": "lora", "output_dir": "rater", "evaluate.untuned": False}
    _child(TRAIN, 1, Path("rater.yaml"), [f"{key}={json.dumps(value)}" for key, value in words.items()])


def _child(code: str, threads: int, recipe: Path, words: list[str]) -> dict[str, Any]:
    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(threads), str(recipe), *words],
        env=env,
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _long_rows(path: Path, *, joined: int = 5, rows: int = 240) -> None:
    """Reviews of several hundred tokens: some of one label one after the other."""
    from weitiao.core.contracts import Record
    from weitiao.core.recipe import Data
    from weitiao.stages.data import located

    (source,) = read(located(Data(train=["film-reviews"])).train, encoding="auto", format="auto")
    texts: dict[str, list[str]] = {}
    for row in source.rows():
        if isinstance(row, Record):
            texts.setdefault(str(row.values["label"]), []).append(str(row.values["text"]))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for label, own in sorted(texts.items()):
            for start in range(rows // len(texts)):
                writer.writerow([" ".join(own[start * joined : (start + 1) * joined]), label])


def show(found: dict[str, dict[str, float]]) -> None:
    table = Table("", "planned MB", "measured MB", "ratio", "until trained", "without the program")
    for name, each in found.items():
        own = each["program"]
        table.add_row(
            name,
            f"{each['planned']:,.0f}",
            f"{each['measured']:,.0f}",
            f"{each['planned'] / each['measured']:.2f}",
            f"{each['planned_training'] / each['measured_training']:.2f}",
            f"{(each['planned'] - own) / (each['measured'] - own):.2f}",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
