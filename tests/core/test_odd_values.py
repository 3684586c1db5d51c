"""Values that Python or YAML would take for something that nobody meant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weitiao import api
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Recipe

BASE = {"model": "minilm-l6", "task": "text_classification", "output_dir": "out"}


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("train.max_steps=true", "train.max_steps"),
        ("train.early_stopping_patience=yes", "train.early_stopping_patience"),
        ("train.warmup_steps=on", "train.warmup_steps"),
        ("train.eval_steps=true", "train.eval_steps"),
        ("seed=no", "seed"),
        ("method.r=true", "method.r"),
        ("method.lora_dropout=false", "method.lora_dropout"),
    ],
)
def test_a_switch_is_no_number(word, key):
    with pytest.raises(WeitiaoError) as caught:
        Recipe.read(BASE, [word])
    assert caught.value.code == "wrong_value"
    assert f"{key}:" in str(caught.value)
    assert "number" in str(caught.value)


def test_a_switch_is_a_switch():
    words = ["train.bf16=yes", "method.use_dora=on", "data.split.stratify=no", "train.eval_strategy=no"]
    found = Recipe.read(BASE, words)
    assert (found.train.bf16, found.method["use_dora"]) == (True, True)
    assert (found.data.split.stratify, found.train.eval_strategy) == (False, "no")


def test_a_path_may_be_a_path_of_python():
    places = {"model": Path("base"), "output_dir": Path("runs") / "out", "start_from": Path("run")}
    found = Recipe.read({**BASE, **places, "data": {"train": Path("a.csv"), "test": [Path("c.csv")]}})
    assert (found.model, found.output_dir, found.start_from) == ("base", os.path.join("runs", "out"), "run")
    assert (found.data.train, found.data.test) == (["a.csv"], ["c.csv"])


def test_the_home_folder_is_meant_by_its_sign():
    tree = {**BASE, "model": "~/base", "output_dir": "~/out", "start_from": "~/run"}
    found = Recipe.read({**tree, "data": {"train": "~/a.csv", "validation": ["~/b.csv"], "test": ["c.csv~"]}})
    home = os.path.expanduser("~")
    assert [found.model, found.output_dir, found.start_from] == [
        f"{home}/{x}" for x in ("base", "out", "run")
    ]
    assert found.data.train + found.data.validation == [f"{home}/a.csv", f"{home}/b.csv"]
    assert found.data.test == ["c.csv~"]


def test_keys_may_be_merged_and_said_otherwise(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "model: m\ntask: sft\noutput_dir: o\ntrain:\n  <<: {max_steps: 3, logging_steps: 2}\n  max_steps: 7\n"
    )
    found = Recipe.read(path).train
    assert (found.max_steps, found.logging_steps) == (7, 2)


def test_a_key_is_looked_for_near_the_top_first():
    with pytest.raises(WeitiaoError, match="-> seed"):
        Recipe.read({**BASE, "train": {"seed": 3}})


def test_rows_of_which_none_can_be_read_are_named(tmp_path):
    path: Path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "fine", "label": "good",}\n' * 3)
    for word in (api.check, api.init):
        with pytest.raises(WeitiaoError) as caught:
            word(path)
        assert caught.value.code == "bad_rows"
        assert "line 1" in str(caught.value)
