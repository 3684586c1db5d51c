"""A file is read as what it holds: by whatever name, in whatever layout, and lines of prose stay lines of prose."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.data.read.conftest import bad, records, refused, rows
from weitiao.core.recipe import Data
from weitiao.data.check import inspect
from weitiao.data.read import read_file
from weitiao.data.shapes import CONVERSATION

OBJECTS = [
    {"text": "one [1] } {", "label": "good"},
    {"text": 'two "quoted"\n{line}', "label": "bad"},
    {"text": "三\u2028", "label": "good", "more": {"a": [{"b": 1}]}},
]


def over_lines(indent: int) -> str:
    return "\n".join(json.dumps(row, indent=indent, ensure_ascii=False) for row in OBJECTS)


LAYOUTS = {
    "one a line": ("\n".join(json.dumps(row) for row in OBJECTS), [1, 2, 3]),
    "one a line with commas": (",\n".join(json.dumps(row) for row in OBJECTS), [1, 2, 3]),
    "a list on a line": (json.dumps(OBJECTS), [1, 1, 1]),
    "a list, an object a line": ("[\n" + ",\n".join(map(json.dumps, OBJECTS)) + "\n]\n", [2, 3, 4]),
    "a list over lines": (json.dumps(OBJECTS, indent=2), [2, 6, 10]),
    "objects over lines": (over_lines(2), [1, 5, 9]),
    "objects over lines, not indented": (over_lines(0), [1, 5, 9]),
    "objects over lines with commas": (over_lines(1).replace("\n}\n{", "\n},\n\n{"), [1, 6, 11]),
    "wrapped": (json.dumps({"version": 3, "data": OBJECTS}, indent=1), [4, 8, 12]),
    "wrapped on a line": (json.dumps({"data": OBJECTS}), [1, 1, 1]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_json_in_any_layout_by_any_name_is_its_rows(layout, file):
    text, lines = LAYOUTS[layout]
    for name in ("a.json", "a.jsonl", "a.ndjson", "a.txt", "a.csv", "a", "a.log", "a.conll", "a.jsonl.gz"):
        content = f"\ufeff{text}".encode()
        source = read_file(file(name, gzip.compress(content) if name.endswith(".gz") else content))
        assert [row.values for row in records(source)] == OBJECTS, name
        assert [row.line for row in records(source)] == lines, name
        assert len({row.id for row in records(source)}) == 3


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_one_conversation_alone_is_a_row_and_no_list_of_turns(name, file):
    row = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    for indent in (None, 1):
        path = file(name, json.dumps(row, indent=indent))
        found = inspect(Data(train=[str(path)]), CONVERSATION)
        assert [one.values["messages"] for one in found.rows] == [row["messages"]]


def test_a_broken_object_among_several_costs_itself(file):
    text = over_lines(2).replace('"label": "bad"', '"label" "bad"')
    source = read_file(file("a.jsonl", text))
    assert [(row.line, row.values["label"]) for row in records(source)] == [(1, "good"), (9, "good")]
    ((line, reason),) = bad(source)
    assert line == 5
    assert "line 7, column 11: Expecting ':' delimiter" in reason
    source = read_file(file("a.jsonl", over_lines(2)[:-20]))
    assert [row.line for row in records(source)] == [1, 5]
    assert bad(source) == [(9, "the file ends in the middle of this row")]


def test_a_first_line_that_is_cut_costs_itself(file):
    source = read_file(file("a.jsonl", '{"text": "cut\n{"text": "whole"}\n'))
    assert rows(source) == [(2, "whole")]
    assert [line for line, _ in bad(source)] == [1]


# --- CoNLL

SENTENCES = [
    (["EU", "rejects", "German", "call", "."], ["B-ORG", "O", "B-MISC", "O", "O"]),
    (["Peter", "Blackburn"], ["B-PER", "I-PER"]),
    (["BRUSSELS", "1996-08-22"], ["S-LOC", "O"]),
]


def conll(between: str, *, columns: int, document: str = "", last: str = "\n") -> str:
    middle = ["NNP", "B-NP"][: columns - 2]
    blocks = [
        "\n".join(between.join([w, *middle, t]) for w, t in zip(*one, strict=True)) for one in SENTENCES
    ]
    return document + "\n\n".join(blocks) + last


@pytest.mark.parametrize("between", [" ", "\t", "  "])
@pytest.mark.parametrize("columns", [2, 3, 4])
@pytest.mark.parametrize("document", ["", "-DOCSTART- -X- -X- O\n\n"])
@pytest.mark.parametrize("name", ["a.txt", "train", "a.tsv", "a.dat", "a.conll", "a.txt.gz"])
def test_tokens_and_tags_by_any_name(between, columns, document, name, file):
    text = conll(between, columns=columns, document=document).encode()
    source = read_file(file(name, gzip.compress(text) if name.endswith(".gz") else text))
    assert [(row.values["tokens"], row.values["tags"]) for row in records(source)] == SENTENCES
    assert bool(source.notes) == (name != "a.conll")
    if name in ("a.txt", "a.txt.gz"):
        path = file(name, gzip.compress(text) if name.endswith(".gz") else text)
        assert read_file(path, format="text").columns == ["text"], "the way out works"


def test_universal_dependencies_give_words_and_their_part_of_speech(file):
    lines = [
        "# sent_id = 1\n# text = vámonos ya",
        "\t".join(["1-2", "vámonos", *"________"]),
        "\t".join(["1", "vamos", "ir", "VERB", *"______"]),
        "\t".join(["2", "nos", "nosotros", "PRON", *"______"]),
        "\t".join(["2.1", "left", "out", "VERB", *"______"]),
        "\t".join(["3", "ya", "ya", "ADV", *"______"]),
    ]
    for name in ("a.txt", "a.conll", "a.conllu"):
        (row,) = records(read_file(file(name, "\n".join(lines) + "\n\n")))
        assert row.values == {"tokens": ["vamos", "nos", "ya"], "tags": ["VERB", "PRON", "ADV"]}


# --- tables


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_a_table_by_another_name(mark, file):
    table = f"text{mark}label\n" + "".join(f"film {i}{mark}good\n" for i in range(5))
    for name in ("a.txt", "a", "a.dat", "a.jsonl", "a.xls"):
        source = read_file(file(name, table))
        assert source.columns == ["text", "label"]
        assert len(records(source)) == 5
        assert source.notes
    assert read_file(file("b.txt", "sep=;\nwhat;ever\none;two\n")).columns == ["what", "ever"]
    assert read_file(file("c.txt", table), format="text").columns == ["text"]


def test_a_table_without_names_is_not_read_as_lines(file):
    table = "".join(f"{('good', 'bad')[i % 2]}\tfilm no {i}\n" for i in range(20))
    with refused("nameless_table", "2 cells", "data.format=text"):
        read_file(file("a.txt", table))
    assert len(records(read_file(file("a.txt", table), format="text"))) == 20
    assert read_file(file("a.txt", "label\ttext\n" + table)).columns == ["label", "text"], "the other way out"


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a", "a.json"])
def test_workbooks_and_parquet_by_another_name(name, tmp_path):
    openpyxl, pa = pytest.importorskip("openpyxl"), pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    book = openpyxl.Workbook()
    for row in (["text", "label"], ["one", 1], ["two", 0]):
        book.active.append(row)
    with (tmp_path / name).open("wb") as target:
        book.save(target)
    assert rows(read_file(tmp_path / name)) == [(2, "one", 1), (3, "two", 0)]
    parquet.write_table(pa.table({"text": ["one"], "label": [1]}), tmp_path / name)
    source = read_file(tmp_path / name)
    assert rows(source) == [(1, "one", 1)]
    assert source.notes == ("it holds Parquet",)


@pytest.mark.parametrize(
    "lines",
    [
        ["Good film.", "Bad film.", "", "Poor film."],
        ["One, two, three.", "Four, five, six.", "Seven, eight, nine."],
        ["Text, label and all that.", "A title, a target, a tag."],
        ["[12:03] hello", "[12:04] hi", "[12:05] bye"],
        ["{name}, hello", "{name}, bye"],
        ['["a", "list"]', '["another"]'],
        ["I O", "you O", "we O"],  # not a span among them
        ["GO ON", "BE IT", "SO WHAT"],
        ["a\tb c d e", "f\tg", "h\ti j"],  # tabs, and no column that repeats
        ["sep=x is what he wrote", "and he was right"],
        ["text", "label"],
        ["| a | b |", "| - | - |", "| 1 | 2 |"],
    ],
)
def test_prose_stays_lines(lines, file):
    source = read_file(file("a.txt", "\n".join(lines) + "\n"))
    assert [row.values["text"] for row in records(source)] == [line for line in lines if line]
    assert source.notes == ()


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.tsv", "train"])
@pytest.mark.parametrize(
    ("begins", "what"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:9f2c\nsize 12\n", "a Git LFS pointer"),
        ("\n<!DOCTYPE html>\n<title>Log in, please</title>\n", "a web page"),
        ("<html lang='en'>\n<p>a, b</p>", "a web page"),
    ],
)
def test_what_stands_in_a_table_s_place_is_named(name, begins, what, file):
    with refused("stand_in", what):
        read_file(file(name, begins))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
@pytest.mark.parametrize("text", ["[]", "[\n]\n"])
def test_a_list_of_nothing_holds_no_rows(name, text, file):
    with refused("empty_file", "no rows"):
        read_file(file(name, text))
