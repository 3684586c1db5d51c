"""What tests of the search have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conftest import small_run


def asked(bert: str, table: Path, output: Path, **words: Any) -> dict[str, Any]:
    """A recipe whose trials take a second each."""
    judge = {"samples": 0, "untuned": False}
    made = small_run(bert, "text_classification", table, output, batch=8, judge=judge)
    train = {"num_train_epochs": 4, "learning_rate": 1e-2, "eval_strategy": "epoch", "save_strategy": "no"}
    tree = made(method="full", **train | words)
    tree["data"]["split"] = {"validation": 0.3}
    return tree
