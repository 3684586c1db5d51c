"""Nothing that is chosen has seen a test row: with every test answer another, all that is chosen is the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import weitiao as wt
from tests.conftest import dialogues, many_labels, reviews, small_run, write_jsonl
from weitiao.core.files import read_lines, sha256

CHOICES = {
    "method": "full",
    "num_train_epochs": 5,
    "learning_rate": 2e-2,
    "eval_strategy": "steps",
    "eval_steps": 3,
    "save_strategy": "best",
    "load_best_model_at_end": True,
    "early_stopping_patience": 2,
    "lr_scheduler_type": "reduce_lr_on_plateau",
}
"""So many things that choose as there are, at a rate that makes the validation rows speak up."""
TIMES = ("seconds", "memory_mb", "memory_peak_mb", "peak_memory_mb", "gpu_memory_mb")
SWAP = {"good": "bad", "bad": "good"}
ROWS = {
    "text_classification": (reviews(90), "label", SWAP.__getitem__),
    "multi_label_classification": (
        many_labels(120),
        "labels",
        lambda labels: sorted({"bad", "good"} - set(labels)),
    ),
    "text_regression": (
        [{"text": row["text"], "label": len(row["text"]) / 7} for row in reviews(90)],
        "label",
        lambda number: 50 - 3 * number,
    ),
    "sft": (dialogues(64), "completion", lambda said: " ".join(reversed(f"{said} film".split()))),
}


# Those of the fast tier also choose thresholds, and how wide intervals are.
@pytest.mark.whole
@pytest.mark.parametrize("task", ROWS)
def test_other_test_answers_change_no_choice(task, bert, llama, tmp_path):
    rows, column, other = ROWS[task]
    test, rest = rows[:30], rows[30:]
    train = write_jsonl(tmp_path / "train.jsonl", rest)
    made = []
    for name, asked in (
        ("one", test),
        ("other", [{**row, column: other(row[column])} for row in test]),
    ):
        recipe = small_run(
            llama if task == "sft" else bert, task, train, tmp_path / name, batch=8, judge={"samples": 0}
        )
        (tmp_path / f"from-{name}").mkdir()
        file = write_jsonl(tmp_path / f"from-{name}" / "test.jsonl", asked)
        made.append(
            wt.train(
                recipe(
                    **CHOICES,
                    data={"test": str(file), "split": {"validation": 0.3 if column == "labels" else 0.15}},
                )
            )
        )
    one, another = made
    assert one.results["metrics"]["tuned"] != another.results["metrics"]["tuned"]
    assert _chosen(one.path) == _chosen(another.path)
    if task == "multi_label_classification":
        assert json.loads((one.path / "model" / "weitiao.json").read_text())["task"]["thresholds"]
    ended = read_lines(one.path / "log.jsonl")[-1]
    assert ended["reason"] == "early_stop" or ended["best_step"] < ended["step"], "nothing was chosen"


def _chosen(folder: Path) -> tuple:
    """All that the run decided: its log, its weights, its card, which rows train."""
    log = [
        {name: value for name, value in line.items() if not name.endswith(TIMES)}
        for line in read_lines(folder / "log.jsonl")
    ]
    card = json.loads((folder / "model" / "weitiao.json").read_text())
    weights = {file.name: sha256(file) for file in sorted((folder / "model").glob("*.safetensors"))}
    split = json.loads((folder / "data" / "split.json").read_text())
    return log, weights, {**card, "seconds": None}, split["train"], split["validation"]
