"""Rows of every known format become their shape's columns; whatever else they hold is refused with a reason."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import write_csv
from weitiao import api
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Data
from weitiao.core.row_format import RowFormat
from weitiao.data import formats
from weitiao.data.formats import FORMATS, READ_AS, Unusable, as_label, convert, guess, guess_column, recognise
from weitiao.data.shapes import SHAPES
from weitiao.stages.data import guess as guess_data

CHAT = ("messages", "sharegpt", "alpaca", "prompt_completion")
PICTURE = hashlib.sha256(b"a picture").hexdigest()
OF = {name: shape for shape in SHAPES for name in shape.formats}


def refused(code: str, *words: str):
    return pytest.raises(WeitiaoError, match=rf"(?s)^\[{code}\].*" + ".*".join(words))


def converted(format: str, row: dict, columns: dict | None = None, repairs: list | None = None) -> dict:
    heard = [] if repairs is None else repairs
    record = convert(Record("a.jsonl", 7, row), format=format, columns=columns or {}, repairs=heard)
    assert record.place == "a.jsonl line 7"
    return dict(record.values)


def turn(role: str, content: str | None, **more) -> dict:
    return {"role": role, "content": content, **more}


def dialogue(asked: str, answer: str) -> dict:
    return {"messages": [turn("user", asked), turn("assistant", answer)]}


def calls(*functions: dict) -> list[dict]:
    return [{"type": "function", "function": function} for function in functions]


# A good row of every format, and what it becomes.
GOOD = {
    "messages": (dialogue("q", "a"), dialogue("q", "a")),
    "sharegpt": (
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        dialogue("q", "a"),
    ),
    "alpaca": ({"instruction": "q", "output": "a"}, dialogue("q", "a")),
    "prompt_completion": ({"prompt": "q", "completion": "a"}, dialogue("q", "a")),
    "preference": (
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        {
            "prompt": [turn("user", "q")],
            "chosen": [turn("assistant", "a")],
            "rejected": [turn("assistant", "b")],
        },
    ),
    "kto": (
        {"prompt": "q", "completion": "a", "label": True},
        {"prompt": [turn("user", "q")], "completion": [turn("assistant", "a")], "label": True},
    ),
    "kto_messages": (
        {**dialogue("q", "a"), "label": "no"},
        {"prompt": [turn("user", "q")], "completion": [turn("assistant", "a")], "label": False},
    ),
    "tags": ({"tokens": ["a", "b"], "tags": ["X", 3]}, {"tokens": ["a", "b"], "tags": ["X", "3"]}),
    "source_target": ({"source": "s", "target": "t"}, {"source": "s", "target": "t"}),
    "image": ({"image": "a.png", "label": 3}, {"image": "a.png", "sha256": PICTURE, "label": "3"}),
    "table": ({"text": "t", "label": 1.0}, {"text": "t", "label": "1"}),
    "multi_label": ({"text": "t", "labels": ["x", "y"]}, {"text": "t", "label": ["x", "y"]}),
    "regression": ({"text": "t", "label": "2.5"}, {"text": "t", "label": 2.5}),
    "text": ({"text": "t"}, {"text": "t"}),
    "pairs": (
        {"anchor": "q", "positive": 2012, "negative": '["b", "c"]'},
        {"anchor": "q", "positive": "2012", "negative": ["b", "c"]},
    ),
    "query_passage": (
        {"query": "q", "passage": "p", "negative": "b"},
        {"anchor": "q", "positive": "p", "negative": ["b"]},
    ),
    "question_answer": (
        {"question": "q", "answer": "a"},
        {"anchor": "q", "positive": "a", "negative": []},
    ),
    "scored_pairs": (
        {"sentence1": "a", "sentence2": "b", "score": "0.5"},
        {"sentence1": "a", "sentence2": "b", "score": 0.5},
    ),
    "query_passage_label": (
        {"query": "q", "passage": 2012, "label": "1"},
        {"query": "q", "passages": ["2012"], "scores": [1.0]},
    ),
    "query_passages": (
        {"query": "q", "passages": '["a", "b"]', "labels": [2, 0.5]},
        {"query": "q", "passages": ["a", "b"], "scores": [2.0, 0.5]},
    ),
    "query_positives": (
        {"query": "q", "positives": ["a", "b"], "negatives": ["c"]},
        {"query": "q", "passages": ["a", "b", "c"], "scores": [1.0, 1.0, 0.0]},
    ),
    "query_positive": (
        {"query": "q", "positive": "a", "negative": '["b", "c"]'},
        {"query": "q", "passages": ["a", "b", "c"], "scores": [1.0, 0.0, 0.0]},
    ),
    "squad": (
        {"question": "q", "context": "b a", "answers": {"text": ["a"], "answer_start": [2]}},
        {"question": "q", "context": "b a", "answers": [{"text": "a", "start": 2}]},
    ),
    "squad_table": (
        {"question": "q", "context": "b a", "answer": "a"},
        {"question": "q", "context": "b a", "answers": [{"text": "a", "start": 2}]},
    ),
}


@pytest.fixture(autouse=True)
def picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(b"a picture")


def test_copies_of_a_picture_are_the_same_row_and_one_that_is_not_there_is_none():
    Path("b.png").write_bytes(b"a picture")
    Path("c.png").write_bytes(b"another one")
    a, b, c = (converted("image", {"image": f"{name}.png", "label": "x"}) for name in "abc")
    assert OF["image"].key(a) == OF["image"].key(b) != OF["image"].key(c)
    with pytest.raises(Unusable, match="d.png cannot be opened"):
        converted("image", {"image": "d.png", "label": "x"})


def test_a_table_names_its_pictures_from_where_it_lies():
    Path("deep").mkdir()
    Path("deep/z.png").write_bytes(b"a picture")
    record = Record("deep/pictures.csv", 2, {"image": "z.png", "label": "x"})
    assert formats.convert(record, format="image", columns={}).values["image"] == "deep/z.png"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_converts_a_row_that_its_shape_accepts(name):
    row, wanted = GOOD[name]
    found = converted(name, {**row, "id": 5})
    assert found == wanted
    assert OF[name].faults(found) == ""


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_converts_renamed_columns_alike(name):
    row, wanted = GOOD[name]
    theirs = {ours: f"列 {ours}" for ours in row}
    assert converted(name, {theirs[ours]: value for ours, value in row.items()}, theirs) == wanted


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_row_is_refused_by_format_or_shape(name):
    try:
        found = converted(name, {})
    except Unusable as error:
        reason = str(error)
    else:
        reason = OF[name].faults(found)
    assert "missing" in reason or "not a list" in reason


def test_a_recipe_may_name_every_format():
    assert {*get_args(RowFormat)} == {"auto", *FORMATS, *READ_AS}


# --- conversations


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("human", "user"),
        ("user", "user"),
        ("gpt", "assistant"),
        ("chatgpt", "assistant"),
        ("bot", "assistant"),
    ]
    + [("model", "assistant"), ("bing", "assistant"), ("observation", "tool"), ("function_response", "tool")]
    + [("system", "system"), ("tool", "tool"), ("assistant", "assistant"), ("developer", "developer")],
)
def test_the_roles_of_sharegpt(theirs, ours):
    found = converted("sharegpt", {"conversations": [{"from": theirs, "value": "x"}]})
    assert found == {"messages": [turn(ours, "x")]}


def test_sharegpt_with_system_tools_and_a_call():
    called = {"name": "weather", "arguments": {"city": "北京"}}
    row = {
        "system": "s",
        "tools": json.dumps([{"name": "weather"}]),
        "conversations": [
            {"from": "human", "value": "q"},
            {"from": "function_call", "value": json.dumps(called)},
            {"from": "observation", "value": "sunny"},
            {"from": "gpt", "value": "a"},
        ],
    }
    assert converted("sharegpt", row) == {
        "messages": [
            turn("system", "s"),
            turn("user", "q"),
            turn("assistant", None, tool_calls=calls(called)),
            turn("tool", "sunny"),
            turn("assistant", "a"),
        ],
        "tools": [{"name": "weather"}],
    }
    several = {"conversations": [{"from": "function_call", "value": [called, called]}]}
    assert converted("sharegpt", several)["messages"][0]["tool_calls"] == calls(called, called)


@pytest.mark.parametrize(
    "value", ["no json", "[]", '"name"', '{"arguments": 1}', "[1]", None, 3, "[" * 10**5]
)
def test_a_function_call_that_is_none(value):
    with pytest.raises(Unusable, match="function call of turn 1|lacks|content of turn 1"):
        converted("sharegpt", {"conversations": [{"from": "function_call", "value": value}]})


@pytest.mark.parametrize("name", ["weight", "loss", "train"])
@pytest.mark.parametrize(("said", "heard"), [(0, 0), (1, 1), (False, 0), (True, 1), (0.0, 0), (1.0, 1)])
def test_whether_an_answer_is_learnt_has_three_names_and_becomes_weight(name, said, heard):
    (found,) = converted("messages", {"messages": [turn("assistant", "a", **{name: said})]})["messages"]
    assert found == turn("assistant", "a", weight=heard)
    assert type(found["weight"]) is int


@pytest.mark.parametrize("said", [2, -1, 0.5, "yes", "1", [1], {"a": 1}])
def test_a_weight_between_is_refused(said):
    with pytest.raises(Unusable, match="`weight` of turn 1 .* neither 0 nor 1"):
        converted("messages", {"messages": [turn("assistant", "a", weight=said)]})


def test_messages_keep_what_templates_read_and_nothing_else():
    kept = {"name": "n", "tool_call_id": "1", "reasoning_content": "r", "thinking": "t"}
    turns = [turn("user", "u", id=4, mood="odd", **kept), turn("assistant", "a", weight=None)]
    found = converted("messages", {"messages": turns, "tools": [{"name": "f"}]})
    assert found == {
        "messages": [turn("user", "u", **kept), turn("assistant", "a")],
        "tools": [{"name": "f"}],
    }


def test_content_in_parts_is_put_together():
    parts = [{"type": "text", "text": "a "}, "b"]
    assert converted("messages", {"messages": [turn("user", parts)]})["messages"] == [turn("user", "a b")]
    picture = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": "x"}]
    with pytest.raises(Unusable, match="turn 1 holds parts that are not text"):
        converted("messages", {"messages": [turn("user", picture)]})


def test_a_cell_of_a_table_may_hold_turns_as_json():
    row = dialogue("问", "答")
    assert converted("messages", {"messages": json.dumps(row["messages"])}) == row
    for cell in ("[1, 2", "[" * 10**5):
        with pytest.raises(Unusable, match="text that is not a list of turns"):
            converted("messages", {"messages": cell})


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        (None, "not a list"),
        ([], "not a list"),
        ({}, "not a list"),
        ("hello", "not a list"),
        (["hello"], "turn 1 is a str, not an object"),
        ([{"role": "user", "content": "u"}, {"role": "assistant"}], "turn 2 lacks `role` or `content`"),
        ([{"from": "human"}], "turn 1 lacks `from` or `value`"),
        ([{"content": "u"}], "turn 1 lacks"),
        (
            [{"role": "assistent", "content": "a"}],
            'turn 1 has the role "assistent".*Did you mean "assistant"',
        ),
        ([{"role": ["user"], "content": "a"}], "turn 1 has the role"),
        ([{"role": "user", "content": None}], "content of turn 1 is missing, not text"),
        ([{"role": "user", "content": {}}], "content of turn 1 is a dict, not text"),
        ([{"role": "user", "content": [{"type": "text"}]}], "turn 1 holds parts that are not text"),
    ],
)
def test_messages_that_are_none_are_refused(turns, why):
    with pytest.raises(Unusable, match=why):
        converted("messages", {"messages": turns})


@pytest.mark.parametrize("tools", ["{", "[" * 10**5, {"name": "f"}, [1], 3, "[1]"])
def test_tools_that_are_none_are_refused(tools):
    with pytest.raises(Unusable, match="`tools` is"):
        converted("messages", {**dialogue("q", "a"), "tools": tools})


@pytest.mark.parametrize("tools", [None, "", [], "[]"])
def test_no_tools_are_no_column(tools):
    assert converted("messages", {**dialogue("q", "a"), "tools": tools}) == dialogue("q", "a")


def test_prompt_and_completion_as_texts_or_turns():
    assert converted("prompt_completion", {"prompt": "p", "completion": "c"}) == dialogue("p", "c")
    as_turns = {"prompt": [turn("user", "p")], "completion": turn("assistant", "c")}
    assert converted("prompt_completion", as_turns) == dialogue("p", "c")
    for row, why in (
        ({"prompt": "p"}, "`completion` is missing"),
        ({"prompt": {3: 4}, "completion": "c"}, "turn 1 lacks `role`"),
        ({"prompt": None, "completion": "c"}, "`prompt` is missing"),
    ):
        with pytest.raises(Unusable, match=why):
            converted("prompt_completion", row)


def test_alpaca_with_and_without_input_system_and_history():
    assert converted("alpaca", {"instruction": "i", "input": "x", "output": "o"}) == dialogue("i\n\nx", "o")
    for empty in ("", None):
        row = {"instruction": "i", "input": empty, "system": empty, "history": empty, "output": "o"}
        assert converted("alpaca", row) == dialogue("i", "o")
    row = {"instruction": "i", "output": "o", "system": "s", "history": [["a", "b"], ["c", "d"]]}
    words = [(t["role"][0], t["content"]) for t in converted("alpaca", row)["messages"]]
    assert words == [("s", "s"), ("u", "a"), ("a", "b"), ("u", "c"), ("a", "d"), ("u", "i"), ("a", "o")]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"input": ["x"]}, "`input` is a list"),
        ({"output": None}, "`output` is missing"),
        ({"system": [4]}, "`system` is a list"),
        ({"history": 4}, "`history` is not a list of"),
        ({"history": True}, "`history` is not a list of"),
        ({"history": "abc"}, "`history` is not a list of"),
        ({"history": {"a": "b"}}, "`history` is not a list of"),
        ({"history": [["a"]]}, "`history` is not a list of"),
        ({"history": [["a", None]]}, "`history` is not a list of"),
    ],
)
def test_alpaca_rows_that_are_none(more, why):
    with pytest.raises(Unusable, match=why):
        converted("alpaca", {"instruction": "i", "output": "o", **more})


# --- preferences


PREFERRED = {
    "prompt": [turn("user", "q")],
    "chosen": [turn("assistant", "a")],
    "rejected": [turn("assistant", "b")],
}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        PREFERRED,
        {"prompt": "q", "chosen": turn("assistant", "a"), "rejected": [turn("assistant", "b")]},
        {
            "chosen": [turn("user", "q"), turn("assistant", "a")],
            "rejected": [turn("user", "q"), turn("assistant", "b")],
        },
        # UltraFeedback's way: the prompt stands beside the whole conversations.
        {
            "prompt": "q",
            "chosen": [turn("user", "q"), turn("assistant", "a")],
            "rejected": [turn("user", "q"), turn("assistant", "b")],
        },
        {
            "conversations": [{"from": "human", "value": "q"}],
            "chosen": {"from": "gpt", "value": "a"},
            "rejected": {"from": "gpt", "value": "b"},
        },
        {"instruction": "q", "input": "", "chosen": "a", "rejected": "b"},
    ],
)
def test_a_preference_in_every_spelling(row):
    assert converted("preference", row) == PREFERRED


def test_a_preference_with_all_that_alpaca_has():
    row = {
        "instruction": "i",
        "input": "x",
        "system": "s",
        "history": [["a", "b"]],
        "chosen": "c",
        "rejected": "r",
    }
    found = converted("preference", row)
    assert [t["content"] for t in found["prompt"]] == ["s", "a", "b", "i\n\nx"]


def test_the_shared_beginning_of_two_conversations_is_the_prompt():
    before = [turn("system", "s"), turn("user", "q"), turn("assistant", "a"), turn("user", "r")]
    row = {"chosen": [*before, turn("assistant", "good")], "rejected": [*before, turn("assistant", "bad")]}
    found = converted("preference", row)
    assert found == {
        "prompt": before,
        "chosen": [turn("assistant", "good")],
        "rejected": [turn("assistant", "bad")],
    }
    for same in (row["chosen"], "a"):
        assert "turn" in OF["preference"].faults(converted("preference", {"chosen": same, "rejected": same}))


@pytest.mark.parametrize(
    ("value", "liked"),
    [(True, True), (False, False), (1, True), (0, False), (1.0, True), (0.0, False)]
    + [("true", True), ("False", False), (" YES ", True), ("no", False), ("1", True), ("0", False)],
)
def test_what_counts_as_liked(value, liked):
    assert converted("kto", {"prompt": "p", "completion": "c", "label": value})["label"] is liked


@pytest.mark.parametrize("value", [None, 2, -1, 0.5, "maybe", "", math.nan, math.inf, [], {}, "10", "是的"])
def test_what_is_neither_liked_nor_not(value):
    with pytest.raises(Unusable, match="neither true nor false"):
        converted("kto", {"prompt": "p", "completion": "c", "label": value})


def test_the_answer_of_kto_messages_is_the_last_turn():
    turns = [turn("user", "q"), turn("assistant", "a"), turn("user", "r"), turn("assistant", "b")]
    found = converted("kto_messages", {"messages": turns, "label": 1})
    assert found == {"prompt": turns[:3], "completion": turns[3:], "label": True}


# --- labels and tags


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (1, "1"),
        (1.0, "1"),
        (1.5, "1.5"),
        ("1", "1"),
        (" good ", "good"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (None, None),
        ("", None),
        ("  ", None),
        (float("nan"), None),
        (float("inf"), "inf"),
        ("NA", "NA"),
        ("None", "None"),
    ],
)
def test_a_label_is_text(value, label):
    assert as_label(value) == label


@pytest.mark.parametrize("value", [["a", "b"], {"a": 1}, []])
def test_several_labels_are_no_label(value):
    with pytest.raises(Unusable, match="not one label"):
        as_label(value)


def test_white_space_around_a_label_is_a_repair_that_is_told():
    heard: list[str] = []
    assert converted("table", {"text": "t", "label": " a\t"}, repairs=heard)["label"] == "a"
    assert heard == ["white space around the label"]
    for label in ("a", 1.0, "", None, " "):
        converted("table", {"text": "t", "label": label}, repairs=heard)
    assert len(heard) == 1


def test_a_table_of_pairs_and_swapped_columns():
    row = {"text": "a", "text_pair": "b", "label": "x"}
    assert converted("table", row) == row
    assert converted("table", {**row, "text_pair": None}) == {"text": "a", "label": "x"}
    swapped = converted("table", {"text": "1", "label": "words"}, {"text": "label", "label": "text"})
    assert swapped == {"text": "words", "label": "1"}


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        (["b", "a"], ["b", "a"]),
        ([1, 2.0, True], ["1", "2", "true"]),
        ([], []),
        ("", []),
        ("a|b", ["a", "b"]),
        ("a; b ;c", ["a", "b", "c"]),
        ("a,b", ["a", "b"]),
        ("体育、财经", ["体育", "财经"]),
        ("a，b", ["a", "b"]),
        ("x, y|z", ["x, y", "z"]),  # the stronger mark counts
        ("science fiction", ["science fiction"]),
        (" New York ", ["New York"]),
        ("a||b|", ["a", "b"]),
        ('["Qualität", "x, y"]', ["Qualität", "x, y"]),  # as JSON
        ("['a b', 'it\\'s']", ["a b", "it's"]),  # as pandas writes a column of lists
        (" [] ", []),
        ("[3, 1]", ["3", "1"]),
        ("[urgent]", ["[urgent]"]),  # a label in brackets
        ("[urgent]; [late]", ["[urgent]", "[late]"]),
    ],
)
def test_several_labels_in_a_list_or_a_cell(cell, labels):
    assert converted("multi_label", {"text": "t", "labels": cell}) == {"text": "t", "label": labels}


@pytest.mark.parametrize(
    "cell", ['["a", "b"', "['a', b]", "['a' 'b']", "['a'\n 'b']", '["a"]; ["b"]', '["a" for a in "b"]']
)
def test_a_cell_that_begins_a_list_and_is_none_is_no_label(cell):
    for format, row in (
        ("multi_label", {"text": "t", "labels": cell}),
        ("tags", {"tokens": cell, "tags": "O"}),
    ):
        with pytest.raises(Unusable, match="begins as a list"):
            converted(format, row)


def test_a_label_that_stands_twice_is_a_repair_that_is_told():
    heard: list[str] = []
    assert converted("multi_label", {"text": "t", "labels": "a|b|a"}, repairs=heard)["label"] == ["a", "b"]
    assert heard == ["a label that stood twice"]


@pytest.mark.parametrize("labels", [None, 3, {"a": 1}, ["a", ""], ["a", None], ["a", ["b"]], [math.nan]])
def test_labels_that_are_none(labels):
    with pytest.raises(Unusable, match="not a list|is empty|not one label"):
        converted("multi_label", {"text": "t", "labels": labels})


@pytest.mark.parametrize(
    ("value", "number"), [(1, 1.0), ("-2e3", -2000.0), (" 4 ", 4.0), (None, None), ("", None), (" ", None)]
)
def test_a_number_to_be_learnt(value, number):
    assert converted("regression", {"text": "t", "label": value})["label"] == number


@pytest.mark.parametrize("decimal", ["point", "comma"])
@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1,234.50", 1234.5),
        ("1,234,567", 1234567.0),
        ("12.5", 12.5),
        ("$1,234.50", 1234.5),
        ("-$3.20", -3.2),
        ("€ -3.2", -3.2),
        ("240.50 €", 240.5),
        ("EUR 99", 99.0),
        ("99 USD", 99.0),
        ("1'234.5 CHF", 1234.5),
        ("1\u202f234.5", 1234.5),
        ("1.2345", 1.2345),
        ("1,23.4", None),
        ("1,2345.6", None),
        ("1,234'567", None),
        ("ca. 50", None),
        ("VB", None),
        ("5 kg", None),
        ("$5 €", None),
        ("12.5.", None),
        ("10%", None),
        ("", ""),
    ],
)
def test_numbers_as_people_write_them(written, number, decimal):
    cell = written if decimal == "point" else written.translate(str.maketrans(".,", ",."))
    cell = cell.replace("ca,", "ca.")
    row = Record("a.csv", 2, {"text": "t", "label": cell})
    if number is None:
        with pytest.raises(Unusable, match="no number|not a finite number"):
            convert(row, format="regression", columns={}, decimal=decimal)
    else:
        found = convert(row, format="regression", columns={}, decimal=decimal).values["label"]
        assert found == (number if cell else None)


def test_the_other_decimal_mark_is_named():
    for cell, decimal in (("12,5", "point"), ("12.5", "comma"), ("1.234,50 €", "point")):
        with pytest.raises(Unusable, match="data.decimal"):
            convert(
                Record("a", 1, {"text": "t", "label": cell}), format="regression", columns={}, decimal=decimal
            )


@pytest.mark.parametrize(
    ("cell", "shape", "decimal"),
    [
        ("240,50 €", "regression", "comma"),
        ("1.003,05", "regression", "comma"),
        ("$1,234.50", "regression", "point"),
        ("$45", "regression", "point"),
        ("3.5", "regression", "point"),
        ("3", "labelled", "point"),
        ("ABC", "labelled", "point"),
        ("inf", "labelled", "point"),
        ("1,234", "labelled", "point"),
    ],
)
def test_a_column_of_numbers_is_seen_however_they_are_written(tmp_path, cell, shape, decimal):
    file = tmp_path / "a.csv"
    file.write_text(f'text,label\na,"{cell}"\n', encoding="utf-8")
    found, keys = guess_data(Data(train=[str(file)]))
    assert found is OF["table" if shape == "labelled" else shape]
    assert keys.get("decimal", "point") == decimal
    assert guess_data(Data(train=[str(file)], decimal="point"))[1].get("decimal", "point") == "point"


@pytest.mark.parametrize(
    ("cells", "shape", "decimal"),
    [
        (["", "4", "1,5", "2"], "regression", "comma"),
        (["300"] * 9 + ["n/a", "4.5", *["7"] * 9], "regression", "point"),
        (["1.234", "12,5", "7"], "regression", "comma"),
        (["3.5", "good", "bad"], "table", "point"),  # words, and a slip
        (["", "1", "2"], "table", "point"),
    ],
)
def test_a_column_is_judged_by_its_first_hundred_rows(tmp_path, cells, shape, decimal):
    file = write_csv(tmp_path / "a.csv", [{"text": "a", "label": cell} for cell in cells])
    found, keys = guess_data(Data(train=[str(file)]))
    assert (found, keys.get("decimal", "point")) == (OF[shape], decimal)


@pytest.mark.parametrize("value", ["high", "1,5", math.nan, math.inf, "inf", True, [1], {}, 10**400])
def test_what_is_no_number(value):
    with pytest.raises(Unusable, match="not a finite number|data.decimal"):
        converted("regression", {"text": "t", "label": value})


def test_tags_in_lists_or_cells():
    assert converted("tags", {"tokens": "我 爱 你", "tags": "O O B"}) == {
        "tokens": ["我", "爱", "你"],
        "tags": ["O", "O", "B"],
    }
    spelt = converted(
        "tags", {"tokens": '["New York", "x"]', "tags": "['B', 'O']"}
    )  # lists, written into cells
    assert spelt == {"tokens": ["New York", "x"], "tags": ["B", "O"]}
    for tokens in (None, 3, {"a": 1}, [["a"]], [None]):
        with pytest.raises(Unusable, match="`tokens` is not a list of words"):
            converted("tags", {"tokens": tokens, "tags": ["O"]})


# --- no value whatever makes a converter fail otherwise than it says

WORDS = st.sampled_from(
    [
        "",
        " ",
        "a",
        "[",
        "[]",
        "[[",
        "{}",
        '{"name": 1}',
        "true",
        "1e999",
        "user",
        "gpt",
        "function_call",
        "\ud800",
        "NaN",
    ]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), WORDS, st.text(max_size=5)
)
NAMES = st.sampled_from(
    ["role", "content", "from", "value", "weight", "loss", "name", "tool_calls", "text", "type"]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(NAMES, inner, max_size=4),
        st.fixed_dictionaries({"role": st.one_of(WORDS, inner), "content": inner}),
        st.fixed_dictionaries({"from": st.one_of(WORDS, inner), "value": inner}),
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_whatever_json_holds_a_row_is_converted_or_unusable(name, data):
    format = FORMATS[name]
    row = {column: data.draw(VALUES) for column in format.needs}
    row |= {column: data.draw(VALUES) for column in format.may_have if data.draw(st.booleans())}
    shape = OF[name]
    try:
        found = converted(name, row)
        reason = shape.faults(found)
    except Unusable as error:
        reason = str(error) or None
    assert isinstance(reason, str)
    if not reason:  # what is accepted can be compared, dealt, and written down
        assert set(found) <= set(shape.columns) | {"sha256"}
        for said in (
            shape.key(found),
            shape.group(found),
            shape.stratum(found),
            *shape.texts(found).values(),
        ):
            assert isinstance(said, str)
        json.loads(json.dumps(found))


# --- which format


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_recognised_by_its_columns(name):
    format = FORMATS[name]
    known = OF[name].formats
    found = [*format.needs, "id"]
    assert recognise("a", found, known=known, asked="auto", columns={}) == name
    assert recognise("a", found, known=known, asked=name, columns={}) == name
    theirs = [f"x_{column}" for column in format.needs]
    columns = dict(zip(format.needs, theirs, strict=True))
    assert recognise("a", theirs, known=known, asked="auto", columns=columns) == name


def test_a_format_that_is_asked_for_wins():
    found = ["prompt", "completion", "instruction", "output"]
    assert recognise("a", found, known=CHAT, asked="auto", columns={}) == "alpaca"
    assert recognise("a", found, known=CHAT, asked="prompt_completion", columns={}) == "prompt_completion"
    assert recognise("a", ["tokens", "tags"], known=("tags",), asked="conll", columns={}) == "tags"


def test_a_format_of_another_task_is_refused():
    with refused("wrong_usage", "data.format=table", "messages, sharegpt, alpaca, prompt_completion"):
        recognise("a", ["text", "label"], known=CHAT, asked="table", columns={})


def test_a_missing_column_is_answered_with_the_nearest():
    with refused("missing_column", "a.csv", '"text"', "review, label", 'Did you mean "review"'):
        recognise("a.csv", ["review", "label"], known=("table",), asked="auto", columns={})
    with refused("missing_column", '"label"', 'Did you mean "标签"', "data.columns.label="):
        recognise("a.csv", ["text", "标签"], known=("table",), asked="auto", columns={})
    with refused("missing_column", '"label"', "has: text, zzz\\)\\.\n"):
        recognise("a.csv", ["text", "zzz"], known=("table",), asked="auto", columns={})
    with refused("no_such_column", '"reveiw"', 'Did you mean "review"'):
        recognise("a.csv", ["review", "label"], known=("table",), asked="auto", columns={"text": "reveiw"})
    with refused("missing_column", '"output"'):
        recognise("a.csv", ["instruction", "x"], known=CHAT, asked="alpaca", columns={})


def test_columns_of_no_known_format_are_refused():
    with refused("unknown_row_format", "a.csv", "foo, bar", "`messages`"):
        recognise("a.csv", ["foo", "bar"], known=CHAT, asked="auto", columns={})


def test_a_column_of_ours_that_is_none_is_refused():
    with refused("unknown_key", "data.columns.txet", 'Did you mean "text"', "label, text"):
        recognise("a.csv", ["review"], known=("table",), asked="auto", columns={"txet": "review"})


# --- guesses

PAIR = {"text": "sentence1", "text_pair": "sentence2"}


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
        ("messages", ["Dialogue"], "Dialogue"),
    ],
)
def test_names_that_people_use_are_guessed(ours, found, guess):
    assert guess_column(ours, found) == guess


@pytest.mark.parametrize("name", FORMATS)
def test_our_own_columns_are_guessed_as_they_are(name):
    if not FORMATS[name].guessed:  # its columns are another format's, too
        assert guess(FORMATS[name].needs, columns={}, asked=name) == (OF[name], name, {})
    else:
        assert guess([*FORMATS[name].needs, "id"], columns={}) == (OF[name], name, {})


@pytest.mark.parametrize(
    ("found", "format", "columns"),
    [
        (["review", "stars"], "table", {"text": "review", "label": "stars"}),
        (["评论", "情感"], "table", {"text": "评论", "label": "情感"}),
        (["idx", "sentence1", "sentence2", "label"], "table", PAIR),
        (["premise", "hypothesis", "label"], "table", {"text": "premise", "text_pair": "hypothesis"}),
        (["问题", "回答"], "prompt_completion", {"prompt": "问题", "completion": "回答"}),
        (
            ["question", "answer", "category"],
            "prompt_completion",
            {"prompt": "question", "completion": "answer"},
        ),
        (["指令", "输出"], "alpaca", {"instruction": "指令", "output": "输出"}),
        (["原文", "译文"], "source_target", {"source": "原文", "target": "译文"}),
        (["article", "summary"], "source_target", {"source": "article", "target": "summary"}),
        (["words", "ner_tags"], "tags", {"tokens": "words", "tags": "ner_tags"}),
        (["图片", "标签"], "image", {"image": "图片", "label": "标签"}),
        (["内容"], "text", {"text": "内容"}),
        (["对话"], "messages", {"messages": "对话"}),
        (
            ["prompt", "preferred", "dispreferred"],
            "preference",
            {"chosen": "preferred", "rejected": "dispreferred"},
        ),
    ],
)
def test_what_columns_suggest(found, format, columns):
    assert guess(found, columns={}) == (OF[format], format, columns)


def test_columns_that_say_nothing_and_columns_that_are_named():
    assert guess(["foo", "bar"], columns={}) is None
    assert guess([], columns={}) is None
    named = {"text": "foo", "label": "bar"}
    assert guess(["foo", "bar"], columns=named) == (OF["table"], "table", named)
    measured = guess(["text", "label"], columns={}, rows=[{"text": "a", "label": "2.5"}])
    assert measured == (OF["regression"], "regression", {})
    for counted in ("2", "2.0", "nan", "good", True, None):
        assert guess(["text", "label"], columns={}, rows=[{"text": "a", "label": counted}])[1] == "table"
    with_list = guess(["text", "label"], columns={}, rows=[{"text": "a", "label": ["x"]}])
    assert with_list == (OF["multi_label"], "multi_label", {"labels": "label"})


def test_what_people_call_our_columns_are_columns_of_ours():
    ours = {column for format in FORMATS.values() for column in format.needs + format.may_have}
    assert set(formats.KNOWN_AS) <= ours


@pytest.mark.parametrize(
    ("found", "named"),
    [
        (["en", "zh"], {"source": "en", "target": "zh"}),
        (["zh-CN", "id", "note", "en_US"], {"source": "zh-CN", "target": "en_US"}),
        (["English", "中文"], {"source": "English", "target": "中文"}),
        (["de", "text"], {}),
        (["en", "zh", "fr"], {}),
        (["id", "en"], {}),
    ],
)
def test_columns_called_by_two_languages_are_a_translation_in_their_order(found, named):
    guessed = guess(found, columns={})
    if not named:
        assert guessed is None or guessed[1] != "source_target"
        return
    shape, name, columns = guessed
    assert (shape.name, name, columns) == ("translation", "source_target", named)


def test_a_table_of_texts_and_labels_stays_one_beside_columns_of_languages():
    assert guess(["en", "zh", "text", "label"], columns={})[1] == "table"


def test_init_says_the_direction_and_turned_it_is_another(tmp_path):
    file = tmp_path / "pairs.csv"
    file.write_text("en,zh\n" + "".join(f"good day {i},你好 {i}\n" for i in range(30)), encoding="utf-8")
    heard = []
    text = api.init(file, tell=lambda name, **facts: heard.append(facts["text"]))
    (notice,) = heard
    assert f"# {notice}" in text
    assert notice.endswith("data.columns: {source: zh, target: en}.")
    for columns, source in (({}, "en"), ({"source": "zh", "target": "en"}, "zh")):
        turned = api.init(file, columns=columns)
        assert yaml.safe_load(turned)["data"]["columns"]["source"] == source
    assert "data.columns: {source" not in api.init(file, columns={"source": "zh", "target": "en"})


def test_missing_sides_are_proposed_by_their_languages():
    with pytest.raises(WeitiaoError, match='missing_column.*Did you mean "en"'):
        recognise("a.csv", ["en", "zh"], known=("source_target",), asked="auto", columns={})
