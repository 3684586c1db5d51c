"""Rows of every known format become their shape's columns; whatever else they hold is refused with a reason."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import rarely
from weitiao.core.contracts import Record
from weitiao.core.row_format import RowFormat
from weitiao.data import formats
from weitiao.data.formats import FORMATS, READ_AS, Unusable, convert
from weitiao.data.pictures.masks import written
from weitiao.data.shapes import SHAPES


def saved(picture: Image.Image) -> bytes:
    held = io.BytesIO()
    picture.save(held, "PNG")
    return held.getvalue()


PICTURE = saved(Image.new("RGB", (9, 4), (255, 0, 0)))
LOOKS = {"light": round(76 / 255, 4), "contrast": 0.0, "colour": 1.0}
SEEN = {"sha256": hashlib.sha256(PICTURE).hexdigest(), "width": 9, "height": 4, **LOOKS}
OF = {name: shape for shape in SHAPES for name in shape.formats}


def converted(format: str, row: dict, columns: dict | None = None, repairs: list | None = None) -> dict:
    heard = [] if repairs is None else repairs
    record = convert(Record("a.jsonl", 7, row), format=format, columns=columns or {}, repairs=heard)
    assert record.place == "a.jsonl line 7"
    found = dict(record.values)
    if found.pop("phash", ""):  # `test_pictures.py`
        found["image"] = os.path.relpath(found["image"])
    return found


def turn(role: str, content: str | None, **more) -> dict:
    return {"role": role, "content": content, **more}


def dialogue(asked: str, answer: str) -> dict:
    return {"messages": [turn("user", asked), turn("assistant", answer)]}


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
    "prompt_only": (
        {"prompt": "q", "answer": 4, "level": "easy"},
        {"prompt": [turn("user", "q")], "row": {"answer": 4, "level": "easy"}},
    ),
    "prompt_messages": (
        {**dialogue("q", "a"), "level": 1},
        {"prompt": [turn("user", "q")], "row": {"answer": "a", "level": 1}},
    ),
    "prompt_sharegpt": (
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "level": 1},
        {"prompt": [turn("user", "q")], "row": {"answer": "a", "level": 1}},
    ),
    "prompt_alpaca": (
        {"instruction": "q", "input": "x", "output": "a"},
        {"prompt": [turn("user", "q\n\nx")], "row": {"input": "x", "output": "a"}},
    ),
    "ultrafeedback": (
        {
            "instruction": "q",
            "completions": [
                {"response": "b", "overall_score": "1"},
                {"response": "a", "overall_score": 9.0},
                {"response": "c", "overall_score": 5},
            ],
        },
        {
            "prompt": [turn("user", "q")],
            "chosen": [turn("assistant", "a")],
            "rejected": [turn("assistant", "b")],
        },
    ),
    "kto_sharegpt": (
        {
            "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}],
            "kto_tag": False,
        },
        {"prompt": [turn("user", "q")], "completion": [turn("assistant", "a")], "label": False},
    ),
    "kto_alpaca": (
        {"instruction": "q", "input": "", "output": "a", "kto_tag": True},
        {"prompt": [turn("user", "q")], "completion": [turn("assistant", "a")], "label": True},
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
    "image": ({"image": "a.png", "label": 3}, {"image": "a.png", **SEEN, "label": "3"}),
    "captioned": ({"image": "a.png", "text": "a red toy"}, {"image": "a.png", **SEEN, "text": "a red toy"}),
    "class_picture": (
        {"image": "a.png", "label": 3},
        {"image": "a.png", **SEEN, "text": "3", "label": "3"},
    ),
    "objects": (
        {"image": "a.png", "objects": [{"category": 3, "bbox": [0, 0, 2, 1]}]},
        {"image": "a.png", **SEEN, "objects": [{"label": "3", "box": [0, 0, 2, 1]}]},
    ),
    "mask": (
        {"image": "a.png", "mask": "m.png"},
        {"image": "a.png", **SEEN, "mask": written(np.full((4, 9), 0), ["7"])},
    ),
    "outlines": (
        {"image": "a.png", "objects": [{"category": 3, "segmentation": [[0, 0, 9, 0, 9, 4, 0, 4]]}]},
        {"image": "a.png", **SEEN, "mask": written(np.full((4, 9), 0), ["3"])},
    ),
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
    Path("a.png").write_bytes(PICTURE)
    Path("m.png").write_bytes(saved(Image.new("L", (9, 4), 7)))


def test_copies_of_a_picture_are_the_same_row_and_one_that_is_not_there_is_none():
    Path("b.png").write_bytes(PICTURE)
    Path("c.png").write_bytes(saved(Image.new("RGB", (9, 4), (0, 0, 255))))
    a, b, c = (converted("image", {"image": f"{name}.png", "label": "x"}) for name in "abc")
    assert OF["image"].key(a) == OF["image"].key(b) != OF["image"].key(c)
    with pytest.raises(Unusable, match="there is no picture .*d.png"):
        converted("image", {"image": "d.png", "label": "x"})


def test_a_table_names_its_pictures_from_where_it_lies():
    Path("deep").mkdir()
    Path("deep/z.png").write_bytes(PICTURE)
    record = Record("deep/pictures.csv", 2, {"image": "z.png", "label": "x"})
    assert formats.convert(record, format="image", columns={}).values["image"] == os.path.abspath(
        "deep/z.png"
    )


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_converts_a_row_that_its_shape_accepts(name):
    row, wanted = GOOD[name]
    found = converted(name, {**row, "id": 5})
    if FORMATS[name].keeps:
        wanted = {**wanted, "row": {**wanted["row"], "id": 5}}
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


@pytest.mark.parametrize("name", [rarely(name) if place % 2 else name for place, name in enumerate(FORMATS)])
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


@pytest.mark.parametrize(
    ("name", "called", "columns"),
    [
        ("pairs", "negative_{}", {}),
        ("pairs", "hard_negative_{}", {}),
        ("query_passage", "negative{}", {}),
        ("query_positive", "wrong_{}", {"negative": "wrong"}),
        ("query_positives", "negatives_{}", {}),
    ],
)
def test_a_column_for_each_negative_is_read_in_the_order_of_their_numbers(name, called, columns):
    """Ten of them, so that letters would sort them otherwise; an empty cell is none, and what is called otherwise stays."""
    asked, right = FORMATS[name].needs
    row = {asked: "reset password", right: ["Click on it."] if right == "positives" else "Click on it."}
    texts = {called.format(n): f"text {n}" for n in (10, 1, 2, 3)} | {
        called.format(4): " ",
        called.format(5): None,
    }
    row |= (
        texts
        | {columns.get("negative", "negative"): "text 0"}
        | {"negative_sampling": "no", "old_negative_1": "no"}
    )
    if name == "query_positives":
        row |= {"negatives": ["text 0"]}
    made = convert(Record("toy", 1, row), format=name, columns=columns).values
    found = made.get("negative", made.get("passages", [])[1:])
    assert found == [f"text {n}" for n in (0, 1, 2, 3, 10)]
