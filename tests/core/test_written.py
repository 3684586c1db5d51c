"""A label stays as it was written, whatever YAML takes it for, wherever it was written."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from weitiao.core import registry
from weitiao.core.read_yaml import typed
from weitiao.core.recipe import Recipe

SMALL = {"model": "m", "output_dir": "o"}
# As it is written -> as YAML reads it.
ODD = {
    "0": 0,
    "1": 1,
    "010": 8,
    "0x1F": 31,
    "1_000": 1000,
    "12:30": 750,
    "1.0": 1.0,
    "1.50": 1.5,
    "+1": 1,
    ".inf": float("inf"),
    "yes": True,
    "No": False,
    "on": True,
    "true": True,
    "null": None,
    "~": None,
    "2024-01-31": datetime.date(2024, 1, 31),
    "1e3": "1e3",
    "negative": "negative",
}


def read(text: str, path, *words: str) -> Recipe:
    path.write_text(f"model: m\noutput_dir: o\n{text}\n", encoding="utf-8")
    return Recipe.read(path, words)


def test_the_odd_ones_are_odd():
    assert {word: typed(word) for word in ODD} == ODD


@pytest.mark.parametrize("word", ODD)
def test_labels_are_as_they_were_written(word, tmp_path):
    text = (
        f"task: {{name: text_classification, labels: [{word}, other], class_weights: {{{word}: 3}}}}\n"
        f"data: {{relabel: {{{word}: {word}}}, columns: {{label: {word}}}, split: {{group_by: other}}}}"
    )
    asked = read(text, tmp_path / "recipe.yaml")
    task = registry.build("task", asked.task)
    assert task.labels == (word, "other")
    assert task.class_weights == {word: 3.0}
    assert asked.data.relabel == {word: word}
    assert asked.data.columns == {"label": word}
    # The same words on the command line.
    words = [f"task.labels=[{word}, other]", f"task.class_weights={{{word}: 3}}"]
    words += [f"data.relabel={{{word}: {word}}}", f"data.columns.label={word}", "data.split.group_by=other"]
    again = read("task: text_classification", tmp_path / "other.yaml", *words)
    assert again == asked
    # And back from the recipe that a run writes.
    (tmp_path / "again.yaml").write_text(asked.to_yaml(), encoding="utf-8")
    assert Recipe.read(tmp_path / "again.yaml") == asked


def test_labels_of_python_are_those_that_the_same_values_get_in_data():
    from weitiao.data.formats import as_label
    from weitiao.data.read.values import plain

    values = [0, 1, np.bool_(True), False, 2.0, 2.5, np.int64(7), np.float64(3.0), np.str_("x"), "y"]
    given = {"name": "text_classification", "labels": values, "class_weights": {2.0: 3}}
    asked = Recipe.read({**SMALL, "task": given, "data": {"relabel": {0: 1}}})
    assert asked.task["labels"] == [as_label(plain(value)) for value in values]
    assert asked.task["class_weights"] == {"2": 3}
    assert asked.data.relabel == {"0": "1"}
    assert {type(label) for label in asked.task["labels"]} == {str}, "a recipe is written as YAML"
    array = {"name": "text_classification", "labels": np.array([0, 1])}
    assert Recipe.read({**SMALL, "task": array}).task["labels"] == ["0", "1"]


def test_where_no_text_is_expected_a_value_is_what_yaml_makes_of_it(tmp_path):
    text = (
        "task: text_classification\nseed: 010\nstart_from: null\nmethod: {name: lora, r: 8, use_dora: yes}\n"
        "train: {bf16: no, learning_rate: 1e-4, early_stopping_patience: ~, lr_scheduler_kwargs: {num_cycles: 2}}\n"
        "data: {split: {group_by: null}, max_length: 1_000}"
    )
    asked = read(text, tmp_path / "recipe.yaml")
    assert (asked.seed, asked.start_from, asked.data.split.group_by) == (8, None, None)
    assert asked.method == {"name": "lora", "r": 8, "use_dora": True}
    assert (asked.train.bf16, asked.train.learning_rate) == (False, 1e-4)
    assert (asked.train.early_stopping_patience, asked.data.max_length) == (None, 1000)
    assert asked.train.lr_scheduler_kwargs == {"num_cycles": 2}


def test_a_name_that_looks_like_a_number_is_a_name(tmp_path):
    asked = read(
        "task: text_classification\ndata: {split: {group_by: 2024}}", tmp_path / "r.yaml", "output_dir=007"
    )
    assert (asked.data.split.group_by, asked.output_dir) == ("2024", "007")
