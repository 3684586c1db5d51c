"""Runs of one study compute a frozen trunk once, and learn what each would have learnt alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import weitiao as wt
from tests.conftest import reviews, small_run, write_csv
from weitiao.core.files import read_lines

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def recipe(bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    table = write_csv(folder / "reviews.csv", reviews(60))
    judge = {"samples": 0, "untuned": False, "baseline": "none"}

    def made(name: str, **train) -> dict:
        words = small_run(bert, "text_classification", table, folder / name, batch=8, judge=judge)
        return words(method="head", num_train_epochs=2, save_strategy="no", **train)

    return made


@pytest.fixture(scope="module")
def runs(recipe, tmp_path_factory) -> tuple[Path, list[wt.Run]]:
    """Two that differ in their rate, and the second of them again, alone."""
    shared = tmp_path_factory.mktemp("study") / "shared"
    words = {"shared": shared, "tell": lambda *_, **__: None}
    first = wt.train(recipe("first", learning_rate=1e-2), **words)
    second = wt.train(recipe("second", learning_rate=3e-3), **words)
    alone = wt.train(recipe("alone", learning_rate=3e-3), tell=lambda *_, **__: None)
    return shared, [first, second, alone]


def trunk(run: wt.Run) -> dict:
    return next(fact for fact in read_lines(run.path / "log.jsonl") if fact["event"] == "frozen_trunk")


def test_the_second_run_makes_none_and_learns_what_it_learns_alone(runs):
    _, (first, second, alone) = runs
    assert [trunk(run)["made"] for run in (first, second, alone)] == [True, False, True]
    ours, theirs = (load_file(run.folder.model / "model.safetensors") for run in (second, alone))
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    losses = [
        [fact["loss"] for fact in read_lines(run.path / "log.jsonl") if fact["event"] == "step"]
        for run in (second, alone)
    ]
    assert losses[0] == losses[1]


def test_other_rows_in_a_batch_other_precision_or_half_written_states_are_made_anew(runs, recipe):
    """A file without its tokens was being written when its run was killed."""
    shared, _ = runs
    words = {"shared": shared, "tell": lambda *_, **__: None}
    assert len(list(shared.glob("*.states"))) == 2  # of training and validation rows
    other = wt.train(recipe("other", learning_rate=1e-2, per_device_eval_batch_size=3), **words)
    assert trunk(other)["made"]
    assert len(list(shared.glob("*.states"))) == 4
    for path in shared.glob("*.tokens.npy"):
        path.unlink()
    assert trunk(wt.train(recipe("anew", learning_rate=1e-2), **words))["made"]
