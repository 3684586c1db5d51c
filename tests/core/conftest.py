"""What the tests of the recipe's keys share: small runs that are made once, and where to look in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import dialogues, reviews, write_csv, write_jsonl
from weitiao import api
from weitiao.core.files import read_lines

STEPS = 4


@dataclass
class Lab:
    """Runs of a few steps on toy models; the same words give the same run, made once."""

    folder: Path
    models: dict[str, str]
    files: dict[str, str]
    made: dict[tuple, api.Run] = field(default_factory=dict)

    def run(self, *overrides: str, kind: str = "words") -> api.Run:
        key = (kind, *overrides)
        if key not in self.made:
            tree = {
                "model": self.models[kind],
                "task": {"words": "text_classification", "chat": "sft"}[kind],
                "method": {"words": "full", "chat": "lora"}[kind],
                "output_dir": str(self.folder / f"run-{len(self.made)}"),
                "data": {"train": self.files[kind]},
                "train": {
                    "num_train_epochs": 2,
                    "max_steps": STEPS,
                    "per_device_train_batch_size": 8,
                    "bf16": False,
                    "eval_strategy": "steps",
                    "eval_steps": 2,
                    "save_strategy": "steps",
                    "save_steps": 2,
                    "load_best_model_at_end": False,
                    "early_stopping_patience": None,
                },
                "evaluate": {
                    "untuned": False,
                    "baseline": "none",
                    "resamples": 100,
                    "samples": 1,
                    "max_new_tokens": 2,
                },
            }
            self.made[key] = api.train(tree, overrides=[word.format(**self.files) for word in overrides])
        return self.made[key]


@pytest.fixture(scope="session")
def lab(bert, llama, tmp_path_factory) -> Lab:
    folder = tmp_path_factory.mktemp("lab")
    rows, talk = reviews(80), dialogues(40)
    files = {
        "words": write_csv(folder / "words.csv", rows),
        "chat": write_jsonl(folder / "chat.jsonl", talk),
        "other_words": write_csv(folder / "other.csv", reviews(80, seed=1)),
        "two_texts": write_csv(
            folder / "two.csv", [{**row, "review": f"very {row['text']}"} for row in rows]
        ),
        "two_formats": write_jsonl(
            folder / "both.jsonl",
            [{"instruction": f"the {row['prompt']}", "output": "great", **row} for row in talk],
        ),
        "near": write_csv(
            folder / "near.csv",
            rows
            + [
                {"text": f"{row['text']} quite", "label": row["label"]}
                for row in rows
                if len(row["text"]) > 40
            ],
        ),
        "few_words": write_csv(folder / "few.csv", reviews(20, seed=5)),
        "marked": write_csv(
            folder / "marked.csv",
            [
                {
                    **row,
                    "user": f"u{i // 8}",
                    "day": f"2026-{1 + i % 9:02d}-01",
                    "part": ("train", "train", "val", "test")[i % 4],
                }
                for i, row in enumerate(rows)
            ],
        ),
        "spaced": write_csv(
            folder / "spaced.csv", [{**row, "text": f"{row['text']}  {row['text']}"} for row in rows]
        ),
        "misspelt": write_csv(
            folder / "misspelt.csv",
            [{**row, "label": "godo" if i == 1 else row["label"]} for i, row in enumerate(rows)],
        ),
        "repeated": write_csv(folder / "repeated.csv", rows + rows[:10]),
        "blank": write_csv(folder / "blank.csv", [*rows, {"text": " ", "label": "good"}]),
        "gbk": folder / "gbk.csv",
        "thousands": write_csv(
            folder / "thousands.csv",
            [{"text": row["text"], "label": f"{i}.500"} for i, row in enumerate(rows, 1)],
        ),
        "other_model": _other(bert, folder / "bert"),
    }
    chinese = "".join(f"{row['text']} 好坏,{row['label']}\n" for row in rows)
    files["gbk"].write_bytes(f"text,label\n{chinese}".encode("gbk"))
    return Lab(folder, {"words": bert, "chat": llama}, {name: str(path) for name, path in files.items()})


def _other(bert: str, folder: Path) -> Path:
    """The same model with other weights."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(1)
    BertModel(BertConfig.from_pretrained(bert)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(bert).save_pretrained(folder)
    return folder


def log(run: api.Run, event: str, name: str) -> list[Any]:
    return [line[name] for line in read_lines(run.path / "log.jsonl") if line["event"] == event]


def losses(run: api.Run) -> list[float]:
    return log(run, "step", "loss")


def rates(run: api.Run) -> list[float]:
    return log(run, "step", "learning_rate")


def steps(event: str) -> Callable[[api.Run], list[int]]:
    return lambda run: log(run, event, "step")


def ledger(name: str) -> Callable[[api.Run], Any]:
    return lambda run: run.folder.json("data/ledger.json")[name]


def locked_rows(run: api.Run) -> list[Any]:
    return [line.get("text") or line["messages"] for line in read_lines(run.path / "data" / "test.jsonl")]


def kept(run: api.Run) -> list[str]:
    return [folder.name for folder in run.folder.checkpoints()]


def state(run: api.Run) -> dict[str, Any]:
    return json.loads((run.folder.checkpoints()[0] / "state.json").read_text())


def best(run: api.Run) -> float:
    return state(run)["best"]


def intervals(run: api.Run) -> list[tuple[float, float]]:
    found = run.results["metrics"]["tuned"].values()
    return [(metric["low"], metric["high"]) for metric in found if metric["low"] is not None]


def systems(run: api.Run) -> set[str]:
    return set(run.results["metrics"])
