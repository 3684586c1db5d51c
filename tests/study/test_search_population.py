"""A population on toys: who goes, who is copied, that a copy is what its parent is; and labels that nothing can know, a
trial whose memory runs out, minutes that are over."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import weitiao as wt
from tests.conftest import reviews, write_csv
from tests.study.searched import asked
from weitiao.cli import run as weitiao
from weitiao.core.files import read_lines
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.stages.dealt import hand_on
from weitiao.study.population import changed, inherit, replaced, steady
from weitiao.study.space import Dimension

pytestmark = pytest.mark.whole


HUNGRY = """
import sys

import torch
import weitiao as wt


class Hungry(wt.Watcher):
    def on_start(self, training):
        if any("0002" in word for word in sys.argv):
            training.model.register_forward_pre_hook(lambda *_: torch.empty(2**60))
"""
"""Trial 2 wants more memory than there is on earth."""


@pytest.fixture(scope="module")
def recipe(bert, tmp_path_factory) -> Recipe:
    """Labels that nothing can know."""
    folder = tmp_path_factory.mktemp("population")
    rows = reviews(80)
    labels = [row["label"] for row in rows]
    Random(0).shuffle(labels)
    noise = [row | {"label": own} for row, own in zip(rows, labels, strict=True)]
    (folder / "hungry.py").write_text(HUNGRY)
    tree = asked(bert, write_csv(folder / "noise.csv", noise), folder / "run", dropout=0.1)
    tree["train"] |= {"num_train_epochs": 2, "watchers": [f"{folder / 'hungry.py'}:Hungry"]}
    return Recipe.read(tree)


@pytest.fixture(scope="module")
def study(recipe, tmp_path_factory) -> dict[str, Any]:
    """One search by the command, in two goes: the first has no time for more than a trial."""
    file = tmp_path_factory.mktemp("asked") / "recipe.yaml"
    file.write_text(recipe.to_yaml())
    words = ["--how", "pbt", "--trials", "5", "--space", "train.learning_rate=1e-6..1e-1:log", "--quiet"]
    found = Path(recipe.output_dir) / "search.json"
    assert weitiao(["search", str(file), *words, "--minutes", "0.01"]) == 0
    early = json.loads(found.read_text())
    assert weitiao(["search", str(file), *words, "--resume"]) == 0
    return {"early": early, **json.loads(found.read_text())}


@pytest.fixture(scope="module")
def rows(study) -> list[dict[str, Any]]:
    return study["trials"]


def test_no_trial_is_begun_when_the_minutes_are_over_and_what_waits_then_goes_on_later(study, rows):
    assert [(row["number"], row["state"]) for row in study["early"]["trials"]] == [(0, "waiting")]
    assert study["early"]["winner"] is None
    assert rows[0]["state"] == "complete"


def test_on_shuffled_labels_it_says_no_better_than_the_default(study):
    said = study["sentence"]
    assert "no better than the default" in said or "No setting is better than the default" in said
    assert (study["winner"].get("gain") or {}).get("verdict") != "better"


def test_a_trial_whose_memory_runs_out_is_a_line_and_the_search_goes_on(study, rows, recipe):
    failed = [row for row in rows if row["state"] == "failed"]
    assert [(row["number"], row["failure"]["error"]) for row in failed] == [(2, "out_of_memory")]
    assert {row["state"] for row in rows if row not in failed} == {"complete", "pruned"}
    assert "does not fit into memory" in (Path(recipe.output_dir) / "search.html").read_text()


def test_the_worst_goes_and_copies_of_the_best_take_that_place_and_the_free_one(rows):
    members, copies = [row for row in rows if not row["birth"]], [row for row in rows if row["birth"]]
    assert (len(members), len(copies)) == (5, 2)
    at = {row["number"]: row["at"]["0"] for row in members if row["at"]}
    gone = [row["number"] for row in members if row["state"] == "pruned"]
    assert len(gone) == 1
    assert at[gone[0]] == min(at[number] for number in at if number)
    for copy in copies:
        parent, rung, _ = copy["birth"]
        assert (rung, copy["state"], at[parent]) == (0, "complete", max(at.values()))
        ratio = copy["values"]["train.learning_rate"] / members[parent]["values"]["train.learning_rate"]
        assert any(ratio == pytest.approx(one, rel=1e-3) for one in (0.8, 1.25))


def test_a_copy_has_its_parents_steps_and_goes_on_with_its_own_rate(rows, recipe):
    copy = next(row for row in rows if row["birth"])
    folder = Path(recipe.output_dir)
    mine, parents = (
        [f for f in read_lines(folder / row["folder"] / "log.jsonl") if f["event"] == "step"]
        for row in (copy, rows[copy["birth"][0]])
    )
    half = len(mine) // 2
    assert len(mine) == len(parents)
    assert [one["loss"] for one in mine[:half]] == [one["loss"] for one in parents[:half]]
    ratio = copy["values"]["train.learning_rate"] / rows[copy["birth"][0]]["values"]["train.learning_rate"]
    for one, other in zip(mine[half:], parents[half:], strict=True):
        assert one["learning_rate"] == pytest.approx(ratio * other["learning_rate"], rel=1e-3)


def test_a_copy_whose_setting_does_not_change_is_its_parent_to_the_last_bit(recipe, rows, tmp_path):
    trial = RunFolder(Path(recipe.output_dir) / rows[0]["folder"])
    parent, child = RunFolder(tmp_path / "parent"), RunFolder(tmp_path / "child")
    own = trial.recipe.model_copy(update={"output_dir": str(parent.path)})
    hand_on(trial, parent, own)
    wt.train(own, pause_after=1)
    inherit(parent, child, {})
    inherit(parent, child, {})  # once more, by a search that was killed: nothing happens
    files = [
        sorted(path.relative_to(one.path) for path in one.path.glob("checkpoint-*/*"))
        for one in (parent, child)
    ]
    assert files[0] == files[1] != []
    assert all((parent.path / name).read_bytes() == (child.path / name).read_bytes() for name in files[0])
    for one in (child, parent):
        wt.train(one.recipe, resume=True)
    ours, theirs = (load_file(one.model / "model.safetensors") for one in (parent, child))
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_rungs_are_even_and_few():
    assert steady(4) == (1, 2, 3)
    assert steady(1) == ()
    assert len(steady(30)) <= 9
    assert steady(2, every=0.5) == (0.5, 1.0, 1.5)


def test_trial_0_stays_and_nobody_is_copied_who_goes():
    assert replaced([5, 1, 2, 3, 4, 6, 7, 0], 8) == ([5, 1], [7, 6])
    assert replaced([3, 1, 0], 8) == ([3, 1], [])
    assert replaced([0], 1) == ([0], [])


def test_settings_of_a_copy_stay_within_what_is_searched():
    space = [
        Dimension("a", "float", 0.1, 1.0),
        Dimension("b", "int", 2, 4),
        Dimension("c", "categorical", choices={"x": "x", "y": "y"}),
    ]
    seen = [changed(space, {"a": 1.0, "b": 4, "c": "x"}, Random(seed)) for seed in range(60)]
    assert {one["a"] for one in seen} == {0.8, 1.0}
    assert {one["b"] for one in seen} == {3, 4}
    assert {one["c"] for one in seen} == {"x", "y"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--space", "method.r=2..8", "method=lora"], "train.learning_rate"),
        (["train.num_train_epochs=1"], "more than one epoch"),
        (["--goal", "score,seconds"], "unknown_goal"),
    ],
)
def test_what_a_population_cannot_search_is_told(recipe, tmp_path, capsys, words, said):
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe.to_yaml())
    assert weitiao(["search", str(file), "--how", "pbt", f"output_dir={tmp_path / 'other'}", *words]) == 2
    assert said in capsys.readouterr().err
