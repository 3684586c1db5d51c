"""Rows of every known shape become the task's columns; a column that is not there is answered with the nearest."""

from __future__ import annotations

import pytest

from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data import formats
from weitiao.data.formats import FORMATS, Unusable, as_label, convert, guess_column, recognise

CHAT = ("messages", "prompt_completion", "alpaca")


def refused(code: str, *words: str):
    return pytest.raises(WeitiaoError, match=rf"(?s)^\[{code}\].*" + ".*".join(words))


def converted(format: str, row: dict, columns: dict | None = None) -> dict:
    record = convert(Record("a.jsonl", 7, row), format=format, columns=columns or {})
    assert record.place == "a.jsonl line 7"
    return dict(record.values)


def dialogue(asked: str, answer: str) -> dict:
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]}


# --- each shape


def test_a_table():
    assert converted("table", {"text": "a", "label": 1, "id": 5}) == {"text": "a", "label": "1"}
    renamed = converted("table", {"评论": "好", "标签": "正面"}, {"text": "评论", "label": "标签"})
    assert renamed == {"text": "好", "label": "正面"}
    assert converted("table", {"text": "a"}) == {"text": "a", "label": None}


def test_columns_may_change_places():
    assert converted("table", {"text": "1", "label": "words"}, {"text": "label", "label": "text"}) == {
        "text": "words",
        "label": "1",
    }


def test_prompt_and_completion():
    assert converted("prompt_completion", {"prompt": "p", "completion": "c"}) == dialogue("p", "c")
    for row, why in (
        ({"prompt": "p"}, "`completion` is missing"),
        ({"prompt": 3, "completion": "c"}, "`prompt` is a int"),
        ({"prompt": None, "completion": "c"}, "`prompt` is missing"),
    ):
        with pytest.raises(Unusable, match=why):
            converted("prompt_completion", row)


def test_alpaca_with_and_without_input():
    assert converted("alpaca", {"instruction": "i", "input": "x", "output": "o"}) == dialogue("i\n\nx", "o")
    for empty in ("", None):
        assert converted("alpaca", {"instruction": "i", "input": empty, "output": "o"}) == dialogue("i", "o")
    assert converted("alpaca", {"instruction": "i", "output": "o"}) == dialogue("i", "o")
    with pytest.raises(Unusable, match="`input` is a list"):
        converted("alpaca", {"instruction": "i", "input": ["x"], "output": "o"})
    with pytest.raises(Unusable, match="`output` is missing"):
        converted("alpaca", {"instruction": "i"})


def test_messages_keep_role_and_content_alone():
    turns = [
        {"role": "system", "content": "s", "name": "x"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "a", "weight": 1},
    ]
    found = converted("messages", {"messages": turns})["messages"]
    assert found == [{"role": turn["role"], "content": turn["content"]} for turn in turns]


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        (None, "not a list"),
        ([], "not a list"),
        ("hello", "not a list"),
        (["hello"], "turn 1 lacks"),
        ([{"role": "user", "content": "u"}, {"role": "assistant"}], "turn 2 lacks"),
        ([{"from": "human", "value": "u"}], "turn 1 lacks"),
        (
            [{"role": "assistent", "content": "a"}],
            'turn 1 has the role "assistent".*Did you mean "assistant"',
        ),
        ([{"role": ["user"], "content": "a"}], "turn 1 has the role"),
        ([{"role": "user", "content": None}], "content of turn 1 is missing, not text"),
        ([{"role": "user", "content": [{"type": "text"}]}], "content of turn 1 is a list, not text"),
    ],
)
def test_messages_that_are_none_are_bad_rows(turns, why):
    with pytest.raises(Unusable, match=why):
        converted("messages", {"messages": turns})


# --- labels


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (1, "1"),
        (1.0, "1"),
        (1.5, "1.5"),
        ("1", "1"),
        (" good ", "good"),
        (True, "true"),
        (0, "0"),
        (None, None),
        ("", None),
        ("  ", None),
        (float("nan"), None),
        (float("inf"), "inf"),
        ("NA", "NA"),
    ],
)
def test_a_label_is_text(value, label):
    assert as_label(value) == label


@pytest.mark.parametrize("value", [["a", "b"], {"a": 1}, []])
def test_several_labels_are_no_label(value):
    with pytest.raises(Unusable, match="not one label"):
        as_label(value)


# --- which shape


@pytest.mark.parametrize("name", FORMATS)
def test_every_shape_is_recognised_by_its_columns(name):
    shape = FORMATS[name]
    known = [other for other in FORMATS if (other == "table") == (name == "table")]
    found = [*shape.needs, "id"]
    assert recognise("a", found, known=known, asked="auto", columns={}) == name
    assert recognise("a", found, known=known, asked=name, columns={}) == name
    theirs = [f"x_{column}" for column in shape.needs]
    columns = dict(zip(shape.needs, theirs, strict=True))
    assert recognise("a", theirs, known=known, asked="auto", columns=columns) == name


def test_a_shape_that_is_asked_for_wins():
    found = ["prompt", "completion", "instruction", "output"]
    assert recognise("a", found, known=CHAT, asked="auto", columns={}) == "prompt_completion"
    assert recognise("a", found, known=CHAT, asked="alpaca", columns={}) == "alpaca"


def test_a_shape_of_another_task_is_refused():
    with refused("wrong_usage", "data.format=table", "messages, prompt_completion, alpaca"):
        recognise("a", ["text", "label"], known=CHAT, asked="table", columns={})


def test_a_missing_column_is_answered_with_the_nearest():
    with refused("missing_column", "a.csv", '"text"', "review, label", 'Did you mean "review"'):
        recognise("a.csv", ["review", "label"], known=("table",), asked="auto", columns={})
    with refused("missing_column", '"label"', 'Did you mean "标签"', "data.columns.label="):
        recognise("a.csv", ["text", "标签"], known=("table",), asked="auto", columns={})
    with refused("missing_column", '"label"', "has: text, zzz\\)\\.\n"):
        recognise("a.csv", ["text", "zzz"], known=("table",), asked="auto", columns={})
    with refused("missing_column", '"reveiw"', 'Did you mean "review"'):
        recognise("a.csv", ["review", "label"], known=("table",), asked="auto", columns={"text": "reveiw"})
    with refused("missing_column", '"output"'):
        recognise("a.csv", ["instruction", "x"], known=CHAT, asked="alpaca", columns={})


def test_columns_of_no_known_shape_are_refused():
    with refused("unknown_row_format", "a.csv", "foo, bar", "`messages`"):
        recognise("a.csv", ["foo", "bar"], known=CHAT, asked="auto", columns={})


def test_a_column_of_ours_that_is_none_is_refused():
    with refused("unknown_key", "data.columns.txet", 'Did you mean "text"', "label, text"):
        recognise("a.csv", ["review"], known=("table",), asked="auto", columns={"txet": "review"})


# --- guesses


@pytest.mark.parametrize(
    ("ours", "found", "guess"),
    [
        ("text", ["id", "Review", "stars"], "Review"),
        ("label", ["id", "Review", "stars"], "stars"),
        ("text", ["评论", "标签"], "评论"),
        ("label", ["评论", "标签"], "标签"),
        ("text", ["texts", "y"], "texts"),
        ("label", ["a", "b"], ""),
        ("text", [], ""),
        ("text", ["title", "text"], "text"),
        ("messages", ["conversations"], "conversations"),
    ],
)
def test_names_that_people_use_are_guessed(ours, found, guess):
    assert guess_column(ours, found) == guess


def test_what_people_call_our_columns_are_columns_of_ours():
    ours = {column for shape in FORMATS.values() for column in shape.needs + shape.may_have}
    assert set(formats.KNOWN_AS) <= ours
