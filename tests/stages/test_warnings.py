"""What only could go wrong is said before the first step, in both languages, and what cannot go wrong is not."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

import weitiao as wt
from tests.conftest import rarely, reviews, write_csv
from weitiao.core.files import read_lines
from weitiao.core.recipe import Train
from weitiao.core.why import reason
from weitiao.stages.warn import warnings


def told(recipe) -> str:
    said = []

    def tell(event, **facts):
        if event == "notice":
            said.append(facts["text"])

    wt.train(recipe, tell=tell)
    return "\n".join(said)


def test_a_warning_is_said_in_the_reader_s_language(monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    assert "全部是 x" in reason("one_label", rows=3, side="test", label="x")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            {"max_steps": 5, "warmup_steps": 500},
            "warmup_steps is 500 and the run has 5 steps.*reaches 1% of its",
        ),
        rarely({"max_steps": 5, "warmup_steps": 5}, "reaches 100%"),
        rarely({"max_steps": 5, "warmup_steps": 0.99, "lr_scheduler_type": "constant"}, "reaches 100%"),
        ({"max_steps": 5, "warmup_steps": 4}, ""),
        (
            {"max_steps": 1, "save_steps": 1, "save_strategy": "best"},
            "save_steps does nothing while train.save_strategy is",
        ),
        rarely(
            {"max_steps": 1, "eval_steps": 0.5, "eval_strategy": "epoch"},
            "eval_steps does nothing while train.eval_strategy is",
        ),
        rarely({"max_steps": 1, "save_steps": 1, "save_strategy": "steps"}, ""),
        rarely({"max_steps": 1}, ""),
        rarely({"max_steps": 2, "method": {"name": "gradual", "unfreeze": "plateau"}}, ""),
        (
            {
                "max_steps": 2,
                "method": {"name": "gradual", "unfreeze": "plateau"},
                "eval_strategy": "no",
                "load_best_model_at_end": False,
            },
            "gradual goes by what the validation rows say, and they are not looked at",
        ),
        rarely(
            {
                "max_steps": 2,
                "method": "gradual",
                "eval_strategy": "no",
                "load_best_model_at_end": False,
            },
            "",
        ),
    ],
)
def test_what_could_go_wrong_is_said(words, said, classify):
    found = told(classify(**words, evaluate={"untuned": False, "baseline": "none"}))
    assert re.search(said, found) if said else not found


def test_rows_that_judge_by_one_label_are_said(classify, tmp_path):
    good = [row for row in reviews(200, seed=3) if row["label"] == "good"]
    sides = {
        side: [str(write_csv(tmp_path / f"{side}.csv", good[i::2]))]
        for i, side in enumerate(("validation", "test"))
    }
    found = told(classify(max_steps=1, data=sides))
    assert "all 50 validation rows are good" in found
    assert "all 50 test rows are good" in found


def test_a_run_of_one_step_learns_at_the_whole_rate(classify, tmp_path):
    wt.train(classify(max_steps=1, learning_rate=0.01))
    (step,) = [line for line in read_lines(tmp_path / "run/log.jsonl") if line["event"] == "step"]
    assert step["learning_rate"] == 0.01


@pytest.mark.parametrize("labels", [{"good": 40, "Bad": 2, "bad": 40}])
def test_labels_that_seem_to_be_one_are_named(labels, monkeypatch):
    recipe = SimpleNamespace(train=Train(), method={"name": "full"})
    method = SimpleNamespace(listens=False)

    def said(labels):
        return list(warnings(recipe, method, {"train": labels}, validation=1, total=100))

    (line,) = said(labels)
    assert '"Bad" → "bad"' in line
    assert 'data.relabel={"Bad": "bad"}' in line
    assert said({"good": 40, "bad": 42}) == []
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    assert "看似相同" in said(labels)[0]
