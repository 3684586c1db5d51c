"""JSON and JSON Lines become records with their line."""

from __future__ import annotations

import json
import random

import pytest

from tests.data.read.conftest import bad, records, refused, rows
from weitiao.data.read import read_file
from weitiao.data.read.text import Text


def test_jsonl_with_a_corrupt_and_a_cut_line(file):
    lines = [
        '{"text": "a", "label": 1}',
        "",
        '{"text": "b", label: 2}',
        '"words"',
        "[1]",
        '{"text": "c", "lab',
    ]
    source = read_file(file("a.jsonl", "\n".join(lines)))
    assert rows(source) == [(1, "a", 1)]
    assert [line for line, _ in bad(source)] == [3, 4, 5, 6]
    assert [reason.split(":")[0] for _, reason in bad(source)] == [
        "not JSON",
        "an object is needed, and this is of type str",
        "an object is needed, and this is of type list",
        "not JSON",
    ]
    assert len(list(source.rows())) == 5


def test_jsonl_that_holds_other_line_separators(file):
    texts = ["a\u2028b", "c\u2029d", "e\x85f", "g\x0ch", "i\\nj"]
    body = "".join(f'{{"text": "{text}"}}\r\n' for text in texts)
    source = read_file(file("a.jsonl", body.replace("\x0c", "\\f")))
    assert rows(source) == [(i, json.loads(f'"{t}"'.replace("\x0c", "\\f"))) for i, t in enumerate(texts, 1)]


def test_columns_are_those_of_all_rows_in_order_of_first_sight(file):
    source = read_file(file("a.jsonl", '{"b": 1}\n{"a": 1, "b": 2}\n'))
    assert source.columns == ["b", "a"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.JSONL"])
def test_json_lines_go_by_several_endings(name, file):
    assert len(records(read_file(file(name, '{"a": 1}\n{"a": 2}\n')))) == 2


def test_a_json_list_is_rows_with_their_lines(file):
    source = read_file(file("a.json", '[\n {"a": 1},\n\n 3,\n {"a": 2}\n]'))
    assert rows(source) == [(2, 1), (5, 2)]
    assert bad(source) == [(4, "an object is needed, and this is of type int")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[{"a": 1},\n {"a": }]', "line 2, column 8"),
        ('{"a": 1}', "this is not a list"),
        ('[{"a": 1}]\n{"a": 2}', "Extra data.*one object per line is a .jsonl file"),
        ("[" * 100_000, "nested too deeply"),
        ('[{"a": ' + "9" * 5000 + "}]", "digits"),
    ],
)
def test_a_json_file_that_is_none_is_refused(text, why, file):
    with refused("bad_json", "a.json", why):
        read_file(file("a.json", text))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "digits"),
        (r'{"a": "half \ud83d of it"}', "half a character"),
        (r'{"a": [{"b": "\uDE00"}]}', "half a character"),
    ],
)
def test_json_that_python_cannot_hold_is_a_bad_row(line, why, file):
    source = read_file(file("a.jsonl", f'{{"a": "fine"}}\n{line}\n{{"a": "fine, too"}}\n'))
    assert [record.line for record in records(source)] == [1, 3]
    assert [line for line, _ in bad(source)] == [2]
    assert why in bad(source)[0][1]


def test_whole_escaped_characters_are_no_halves(file):
    assert rows(read_file(file("a.jsonl", r'{"a": "\ud83d\ude00"}'))) == [(1, "😀")]


# --- a list as a stream


def test_an_object_that_holds_one_list_of_objects(file):
    text = '{"version": "1", "names": ["a", [1]], "none": [], "data": [\n{"a": 1},\n{"a": 2}],\n"more": {"b": [{}]}}'
    source = read_file(file("a.json", text))
    assert rows(source) == [(2, 1), (3, 2)]
    assert source.notes == ('the rows are the list "data"',)
    assert source.facts()["notes"] == ['the rows are the list "data"']


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"train": [{"a": 1}], "test": [{"a": 2}]}', 'two lists of objects, "train" and "test"'),
        ('{"names": ["a"], "n": 3}', "a list of objects is needed"),
        ('[{"a": 1}]\n [{"a": 2}]', "line 2, column 2: Extra data"),
        ('[{"a": 1},\n\n  {"a": 2} {"a": 3}]', "line 3, column 12: Expecting ',' delimiter"),
        ('[{"a": 1}, {"b": tru}]', "line 1, column 18: Expecting value"),
        ('{"a" 1}', "line 1, column 6"),
        ('"words"', "this is not a list"),
    ],
)
def test_where_a_list_goes_wrong_is_said(text, why, file):
    with refused("bad_json", why):
        read_file(file("a.json", text))


def test_a_list_cut_at_any_place_gives_its_whole_rows_and_one_bad_one(file):
    texts = ["a", 'q"\\', "好\u2028", "\ud83d\ude00"]
    lines = [json.dumps({"n": n, "t": [text, None, -1.5e3, True]}) for n, text in enumerate(texts)]
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    ends = [text.index(line) + len(line) for line in lines]
    for cut in range(3, len(text) - 2):
        source = read_file(file("a.json", text[:cut]))
        whole = sum(end <= cut for end in ends)
        assert [record.line for record in records(source)] == list(range(2, 2 + whole))
        ((line, reason),) = bad(source)
        assert reason.startswith("the file ends ")
        if whole < len(ends) and cut > text.index(lines[whole]):
            assert (line, reason) == (2 + whole, "the file ends in the middle of this row")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_a_window_of_any_size_finds_what_json_finds(size, file, monkeypatch):
    monkeypatch.setattr(Text, "blocks", lambda self: blocks(self.path.read_text("utf-8"), size))
    rng = random.Random(size)
    pieces = ["", "a", '"', "\\", "好", "\n", "\u2028", "]", "}", ",", "[{"]
    for _ in range(30):
        rows_ = [
            {
                "".join(rng.choices(pieces, k=2)): rng.choice(
                    [1, -2.5e-7, None, True, [], [{}], "".join(rng.choices(pieces, k=5))]
                )
            }
            for _ in range(rng.randint(1, 6))
        ]
        text = json.dumps(rows_, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1]))
        found = records(read_file(file("a.json", text)))
        assert [record.values for record in found] == rows_
        assert len({record.line for record in found}) == (len(rows_) if "\n" in text else 1)
        broken = text[:-1] + "x]"
        with pytest.raises(json.JSONDecodeError) as said:
            json.loads(broken)
        with refused("bad_json", f"line {said.value.lineno}, column {said.value.colno}:"):
            read_file(file("a.json", broken))


def blocks(text: str, size: int):
    return iter([text[at : at + size] for at in range(0, len(text), size)])


def test_rows_nested_more_deeply_than_one_can_handle_are_bad(file):
    deep = '{"a": ' + "[" * 150 + "]" * 150 + "}"
    wide = '{"a": [' + ",".join(["[]"] * 300) + "]}"
    source = read_file(file("a.json", f"[{deep},\n{wide}]"))
    assert bad(source) == [(1, "nested too deeply")]
    assert [record.line for record in records(source)] == [2]


TWICE = (
    '{"text": "a", "text": "b"}',
    '{"text": "c", "meta": {"n": 1, "n": 1.0}}',
    '{"text": "d", "text": "d"}',
)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.jsonl", "\n".join(TWICE)),
        ("a.json", f"[{','.join(TWICE)}]"),
        ("wrapped.json", f'{{"data": [{",".join(TWICE)}]}}'),
        ("long.json", "\n".join(TWICE).replace("{", "{\n ", 1)),
    ],
)
def test_a_key_that_stands_twice_with_two_values_is_named(name, body, file):
    source = read_file(file(name, body))
    assert [reason for _, reason in bad(source)] == [
        f'"{key}" stands twice in an object, with two values' for key in ("text", "n")
    ]
    assert [record.values for record in records(source)] == [{"text": "d"}], "the same twice says one thing"
