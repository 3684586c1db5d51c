"""Labels that nothing can know, a trial whose memory runs out, and an hour that is over: what the search says, and what it does."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.conftest import reviews, write_csv
from tests.study.searched import asked
from weitiao.cli import run as weitiao
from weitiao.core.recipe import Recipe

pytestmark = pytest.mark.whole
HUNGRY = '''
"""Batches of 16 want more memory than there is on earth."""

import torch

import weitiao as wt


class Hungry(wt.Watcher):
    def on_start(self, training):
        if training.state.step == 0 and max(len(b.rows) for b in training.batches.step(0, parts=1)) > 8:
            training.model.register_forward_pre_hook(lambda *_: torch.empty(2**60))
'''


@pytest.fixture(scope="module")
def study(bert, tmp_path_factory) -> dict[str, Any]:
    """Labels shuffled, in two goes: the first one has no time for more than a trial or two."""
    folder = tmp_path_factory.mktemp("noise")
    rows = reviews(120)
    labels = [row["label"] for row in rows]
    random.Random(0).shuffle(labels)
    table = write_csv(
        folder / "noise.csv", [row | {"label": own} for row, own in zip(rows, labels, strict=True)]
    )
    (folder / "hungry.py").write_text(HUNGRY)
    tree = asked(bert, table, folder / "run", watchers=[f"{folder / 'hungry.py'}:Hungry"])
    tree["train"] |= {"num_train_epochs": 1, "cache_frozen_trunk": False}
    (folder / "recipe.yaml").write_text(Recipe.read(tree).to_yaml())
    words = ["search", str(folder / "recipe.yaml"), "--trials", "5", "--how", "random", "--quiet"]
    words += [
        "--space",
        "train.per_device_train_batch_size=8,16",
        "--space",
        "train.learning_rate=1e-3..1e-1:log",
    ]
    assert weitiao([*words, "--minutes", "0.01"]) == 0
    early = json.loads((folder / "run" / "search.json").read_text())
    assert weitiao([*words, "--resume"]) == 0
    late = json.loads((folder / "run" / "search.json").read_text())
    return {"early": early, "late": late, "folder": folder / "run"}


def test_no_trial_is_begun_when_the_minutes_are_over_and_the_others_come_later(study):
    assert [row["number"] for row in study["early"]["trials"]] == [0]
    assert study["early"]["trials"][0]["state"] == "complete"
    assert study["early"]["winner"]["number"] == 0
    assert [row["number"] for row in study["late"]["trials"]] == [0, 1, 2, 3, 4]


def test_on_shuffled_labels_it_says_no_better_than_the_default(study):
    said = study["late"]["sentence"]
    assert "no better than the default" in said or "No setting is better than the default" in said
    assert (study["late"]["winner"].get("gain") or {}).get("verdict") != "better"


def test_a_trial_whose_memory_runs_out_is_a_line_and_the_search_goes_on(study):
    rows = study["late"]["trials"]
    failed = [row for row in rows if row["values"]["train.per_device_train_batch_size"] == 16]
    assert 0 < len(failed) < 4
    for row in failed:
        assert (row["state"], row["failure"]["error"]) == ("failed", "out_of_memory")
    assert all(row["state"] == "complete" for row in rows if row not in failed)
    page = (study["folder"] / "search.html").read_text()
    assert "out_of_memory" in page or "memory" in page
