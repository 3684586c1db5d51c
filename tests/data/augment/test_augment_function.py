"""A user's function: what it may return, and what its mistakes look like."""

from __future__ import annotations

import sys

import pytest

from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data import shapes
from weitiao.data.augment import steps
from weitiao.data.augment.make import Made, augment

FILE = """
def shout(values, rng):
    values["text"] = values["text"].upper() + "!"
    return values

def two(values, rng):
    return [{**values, "text": f"{values['text']} {rng.random()}"} for _ in range(2)]

def none(values, rng):
    return None

def fails(values, rng):
    raise KeyError("oops")

def text(values, rng):
    return values["text"]

def empty(values, rng):
    return {**values, "text": " "}

def lacks(values, rng):
    return {"text": "x"}

def more(values, rng):
    return {**values, "colour": 1}

def number(values, rng):
    return {**values, "label": 1}

def relabels(values, rng):
    return {"text": "new " + values["text"], "label": "c"}

thing = 3
"""
ROWS = [
    Record("r.csv", 2, {"text": "one two", "label": "a"}),
    Record("r.csv", 3, {"text": "three", "label": "b"}),
]


@pytest.fixture
def call(tmp_path):
    (tmp_path / "mine.py").write_text(FILE, encoding="utf-8")

    def made_by(name: str):
        step = steps([{"name": "function", "function": f"{tmp_path / 'mine.py'}:{name}"}])
        made = Made()
        rows = list(augment({"train": ROWS}, shapes.LABELLED, step, seed=0, made=made))
        return [row.record.values for row in rows], made.counts["function"]

    return made_by


def test_a_row_several_rows_or_none(call):
    shouted = [{"text": "ONE TWO!", "label": "a"}, {"text": "THREE!", "label": "b"}]
    assert call("shout") == (shouted, {"made": 2})
    assert ROWS[0].values["text"] == "one two"  # it was given a copy
    rows, counts = call("two")
    assert len({row["text"] for row in rows}) == 4 == counts["made"]
    assert call("two")[0] == rows
    assert call("none") == ([], {"unchanged": 2})


def test_a_function_of_a_module(tmp_path, monkeypatch):
    (tmp_path / "own_augmentation.py").write_text(FILE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    step = steps([{"name": "function", "function": "own_augmentation:shout"}])
    rows = list(augment({"train": ROWS}, shapes.LABELLED, step, seed=0, made=Made()))
    assert [row.by for row in rows] == ["function"] * 2
    sys.modules.pop("own_augmentation")


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("fails", "function_failed", "KeyError: 'oops'"),
        ("text", "function_bad_row", "it is of type str"),
        ("empty", "function_bad_row", "the text is empty"),
        ("lacks", "function_bad_row", "its label is None"),
        ("more", "function_bad_row", '"colour" is no column'),
        ("number", "function_bad_row", "its label is 1"),
    ],
)
def test_its_mistakes_name_the_row_and_the_function(call, name, code, said):
    with pytest.raises(WeitiaoError) as caught:
        call(name)
    assert caught.value.code == code
    assert all(word in str(caught.value) for word in ("r.csv line 2", f"mine.py:{name}", said))


def test_an_unknown_label_is_not_taken(call):
    assert call("relabels") == ([], {"unusable": 2})


@pytest.mark.parametrize("name", ["nowhere", "thing"])
def test_a_function_that_is_not_there(call, name):
    with pytest.raises(WeitiaoError, match=f'no_such_function.*no function "{name}"'):
        call(name)


@pytest.mark.parametrize("place", ["none.py:f", "no.such.module:f"])
def test_a_file_or_module_that_is_not_there(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (step,) = steps([{"name": "function", "function": place}]).items()
    with pytest.raises(WeitiaoError, match="no_such_function"):
        list(augment({"train": ROWS}, shapes.LABELLED, dict([step]), seed=0, made=Made()))


def test_a_file_with_a_syntax_error(tmp_path):
    (tmp_path / "bad.py").write_text("def f(:\n", encoding="utf-8")
    step = steps([{"name": "function", "function": f"{tmp_path}/bad.py:f"}])
    with pytest.raises(WeitiaoError, match="no_such_function.*SyntaxError"):
        list(augment({"train": ROWS}, shapes.LABELLED, step, seed=0, made=Made()))
