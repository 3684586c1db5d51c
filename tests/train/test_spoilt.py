"""Weights that are no numbers, or give none, are told as such: by the step that made them, by the judge, by predictions."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import weitiao as wt
from weitiao.core.errors import WeitiaoError
from weitiao.evaluate.predict import numberless
from weitiao.train.loop import Watcher


class Spoil(Watcher):
    """At the last step, behind whose loss no other one follows."""

    def __init__(self, value: float):
        self.value = value

    def on_step(self, training):
        if training.state.step == training.total:
            for weight in training.weights.values():
                weight.data.fill_(self.value)


def test_weights_that_are_no_numbers_are_not_kept(classify, tmp_path):
    with pytest.raises(WeitiaoError) as caught:
        wt.train(classify(max_steps=2), watchers=[Spoil(math.inf)])
    assert caught.value.code == "spoilt_weights"
    assert caught.value.values["step"] == 2
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize("method", ["full", "lora"])
def test_scores_that_are_no_numbers_are_neither_judged_nor_given_as_answers(method, classify, tmp_path):
    """Weights of 1e38 are numbers, and what they give is none."""
    with pytest.raises(WeitiaoError) as caught:
        wt.train(classify(max_steps=2, method=method), watchers=[Spoil(1e38)])
    assert caught.value.code == "not_judged"
    assert "[no_numbers]" in str(caught.value)
    assert not (Path(tmp_path) / "run" / "results.json").exists()
    with pytest.raises(WeitiaoError) as caught:
        wt.load(tmp_path / "run").predict("a dull film")
    assert caught.value.code == "no_numbers"


@pytest.mark.parametrize(
    ("told", "so"),
    [
        ({"label": "a", "scores": {"a": 0.5, "b": math.nan}}, True),
        ({"vector": [0.0, math.nan, 1.0]}, True),
        ({"spans": [{"score": math.nan}]}, True),
        ({"label": "nan", "loss": math.inf, "ranks": [], "answer": None}, False),
        ({"vector": torch.zeros(3).tolist(), "spans": [{"score": 1.0}]}, False),
    ],
)
def test_what_counts_as_no_number(told, so):
    assert numberless(told) == so
