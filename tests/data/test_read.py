"""Files become records with file and line; what cannot be read is named, never lost or changed in silence."""

from __future__ import annotations

import codecs
import csv
import io
import json
import random
from pathlib import Path

import pytest

from weitiao.core.errors import WeitiaoError
from weitiao.data.read import decode, read, read_file, table_rows


def refused(code: str, *words: str):
    return pytest.raises(WeitiaoError, match=rf"(?s)^\[{code}\].*" + ".*".join(words))


@pytest.fixture
def file(tmp_path):
    """`file("a.csv", text or bytes)` writes and names it."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return write


def rows(source) -> list[tuple]:
    return [(record.line, *record.values.values()) for record in source.records]


# --- tables


def test_quotes_commas_and_line_feeds_inside_cells(file):
    text = 'text,label\n"a, b",1\n"she said ""hi""",2\n"two\nlines\n\nand more",3\nplain,4\n'
    source = read_file(file("a.csv", text))
    assert rows(source) == [
        (2, "a, b", "1"),
        (3, 'she said "hi"', "2"),
        (4, "two\nlines\n\nand more", "3"),
        (8, "plain", "4"),
    ]
    assert source.bad == []
    assert source.columns == ["text", "label"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end(end, file):
    source = read_file(file("a.csv", end.join(["text,label", "one,1", f'"two{end}lines",2', "three,3"])))
    assert rows(source) == [(2, "one", "1"), (3, f"two{end}lines", "2"), (5, "three", "3")]


def test_the_tutorial_s_own_file(file):
    source = read_file(file("train.csv", 'text,label\n"这是一条正面评论",1\n"这是一条负面评论",0\n'))
    assert rows(source) == [(2, "这是一条正面评论", "1"), (3, "这是一条负面评论", "0")]
    assert source.encoding == "utf-8"


def test_words_that_other_readers_take_for_nothing_stay_words(file):
    words = ["NA", "null", "None", "nan", "N/A", "NULL", "-", "#N/A", "true", "1e5", "007", " "]
    source = read_file(file("a.csv", "text,label\n" + "".join(f"{w},{w}\n" for w in words)))
    assert [tuple(r.values.values()) for r in source.records] == [(w, w) for w in words]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "text,label\none;x,1\ntwo,2\n"),
        ("a.csv", "text;label\none;1\ntwo, and more;2\n"),
        ("a.csv", "text|label\none|1\ntwo|2\n"),
        ("a.csv", "text\tlabel\none\t1\ntwo\t2\n"),
        ("a.tsv", "text\tlabel\none, 1\t1\ntwo\t2\n"),
    ],
)
def test_the_header_tells_how_columns_are_set_apart(name, text, file):
    source = read_file(file(name, text))
    assert source.columns == ["text", "label"]
    assert [record.values["label"] for record in source.records] == ["1", "2"]
    assert source.bad == []


def test_one_column_is_a_table_too(file):
    assert rows(read_file(file("a.csv", "text\none\ntwo\n"))) == [(2, "one"), (3, "two")]


def test_a_row_of_another_width_is_a_bad_row_of_its_own(file):
    source = read_file(file("a.csv", 'text,label\ngood,1\nan, extra comma,0\n\n"x\ny"\nfine,0\n'))
    assert rows(source) == [(2, "good", "1"), (7, "fine", "0")]
    assert [(row.line, row.reason) for row in source.bad] == [
        (3, "3 cells where the header has 2"),
        (5, "1 cells where the header has 2"),
    ]
    assert source.facts()["rows"] == 4, "an empty line is no row"


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ('good,1\n"never closed,2\nmore,3\nlast,4\n', 3),
        ('good,1\nfine,2\n"closed" and on,3\nmore,4\n', 4),
        ('good,1\n"two\nlines",2\n"oh" no,3\n', 5),
    ],
)
def test_a_broken_quote_is_refused_with_the_line_where_it_begins(body, line, file):
    with refused("open_quote", f"a.csv line {line}:"):
        read_file(file("a.csv", "text,label\n" + body))


def test_blank_lines_before_the_header_do_not_count_as_one(file):
    source = read_file(file("a.csv", "\n\ntext,label\none,1\n"))
    assert source.columns == ["text", "label"]
    assert rows(source) == [(4, "one", "1")]


@pytest.mark.parametrize(
    ("header", "why"), [("text,text", '"text" stands twice'), ("text,,label", "column 2 has no name")]
)
def test_a_header_must_name_each_column_once(header, why, file):
    with refused("bad_header", "line 1", why):
        read_file(file("a.csv", f"{header}\n1,2,3\n"))


def test_spaces_around_column_names_are_no_part_of_them(file):
    assert read_file(file("a.csv", "text , label\none,1\n")).columns == ["text", "label"]


def test_a_huge_cell_is_read_and_the_limit_put_back(file):
    before = csv.field_size_limit()
    huge = "word " * 200_000
    source = read_file(file("a.csv", f'text,label\n"{huge}",1\n'))
    assert source.records[0].values["text"] == huge
    assert csv.field_size_limit() == before
    with refused("open_quote"):
        read_file(file("b.csv", f'text,label\n"{huge}'))
    assert csv.field_size_limit() == before


def test_any_table_that_csv_writes_is_read_as_it_was(file):
    """By brute force: cells of every awkward character, and the line on which each row begins."""
    rng = random.Random(0)
    pieces = ['"', ",", "\n", "\r\n", ";", "\t", "a", "好", "\u2028", "'", "\\", " ", "NA", "|", "#"]
    for trial in range(60):
        table = [["".join(rng.choices(pieces, k=rng.randint(1, 6))) for _ in range(3)] for _ in range(9)]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        starts = []
        writer.writerow(["a", "b", "c"])
        for cells in table:
            starts.append(text.getvalue().count("\n") + 1)
            writer.writerow(cells)
        source = read_file(file(f"{trial}.csv", text.getvalue()))
        assert rows(source) == [(line, *cells) for line, cells in zip(starts, table, strict=True)]


# --- encodings


@pytest.mark.parametrize(
    ("encoding", "found", "mark"),
    [
        ("utf-8", "utf-8", b""),
        ("utf-8", "utf-8-sig", codecs.BOM_UTF8),
        ("gbk", "gb18030", b""),
        ("gb18030", "gb18030", b""),
        ("utf-16-le", "utf-16", codecs.BOM_UTF16_LE),
        ("utf-16-be", "utf-16", codecs.BOM_UTF16_BE),
    ],
)
def test_the_encoding_is_found_and_told(encoding, found, mark, file):
    source = read_file(file("a.csv", mark + "text,label\n很好看的书,正面\nfine,负面\n".encode(encoding)))
    assert rows(source) == [(2, "很好看的书", "正面"), (3, "fine", "负面")]
    assert source.columns == ["text", "label"], "no byte order mark in the first name"
    assert source.facts()["encoding"] == found


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_goes_whatever_encoding_is_named(encoding, file):
    path = file("a.csv", codecs.BOM_UTF8 + b"text,label\none,1\n")
    assert read_file(path, encoding=encoding).columns == ["text", "label"]


@pytest.mark.parametrize("text", ["𠮷野家", "這個旅館的早餐還不錯，臺灣遊客推薦", "囧"])
def test_rare_and_traditional_characters_of_gb18030(text, file):
    source = read_file(file("a.csv", f"text,label\n{text},1\n".encode("gb18030")))
    assert source.records[0].values["text"] == text


def test_latin_1_is_refused_with_its_line_and_read_when_named(file):
    for text in (
        "un café très bon",
        "a naïve idea",
        "vida útil; mañana fácil",
    ):  # the last two are valid GB18030
        path = file("a.csv", f"text,label\nplain,1\n{text},2\n".encode("latin-1"))
        with refused("bad_encoding", "a.csv line 3:", "utf-8 or gb18030", "data.encoding=latin-1"):
            read_file(path)
        assert read_file(path, encoding="latin-1").records[1].values["text"] == text


def test_the_line_of_a_bad_byte_is_that_of_the_first_one_in_utf_8(file):
    with refused("bad_encoding", "line 2:"):
        read_file(file("a.csv", b"text,label\ncaf\xe9 ,1\nfine,2\nna\xefve\xff,3\n"))


@pytest.mark.parametrize(
    "raw",
    [
        "text,label\none,1\n".encode("utf-16-le"),
        b"text,label\none,1\ntw\0o,2\n",
        b"PK\x03\x04\x14\0\x06\0zip",
    ],
)
def test_zero_bytes_are_no_text(raw, file):
    with refused("bad_encoding", "line [123]:", "utf-16"):
        read_file(file("a.csv", raw))


def test_utf_16_without_a_mark_is_read_when_named(file):
    path = file("a.csv", "text,label\none,1\n".encode("utf-16-le"))
    assert rows(read_file(path, encoding="utf-16-le")) == [(2, "one", "1")]


@pytest.mark.parametrize("name", ["utf8000", "hex", "rot13", "base64", "undefined", ""])
def test_an_encoding_that_is_none_is_refused(name, file):
    with refused("unknown_encoding", f'"{name}"'):
        read_file(file("a.csv", "text,label\none,1\n"), encoding=name)


def test_a_named_encoding_that_does_not_fit_is_refused(file):
    with refused("bad_encoding", "line 2:", "ascii"):
        read_file(file("a.csv", "text,label\n好,1\n"), encoding="ascii")


def test_decoding_any_bytes_ends_in_text_or_a_coded_error():
    rng = random.Random(1)
    refused_files = 0
    for _ in range(300):
        raw = bytes(rng.choices(range(256), k=rng.randint(0, 30)))
        try:
            text, name = decode(raw, Path("a.csv"), "auto")
        except WeitiaoError:
            refused_files += 1
        else:
            assert name in ("utf-8", "utf-8-sig", "gb18030", "utf-16")
            text.encode("utf-8")
    assert 100 < refused_files < 300


# --- JSON


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
    assert [row.line for row in source.bad] == [3, 4, 5, 6]
    assert [row.reason.split(":")[0] for row in source.bad] == [
        "not JSON",
        "a str where an object is needed",
        "a list where an object is needed",
        "not JSON",
    ]
    assert source.facts()["rows"] == 5


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
    assert len(read_file(file(name, '{"a": 1}\n{"a": 2}\n')).records) == 2


def test_a_json_list_is_rows_by_number(file):
    source = read_file(file("a.json", '[\n {"a": 1},\n\n 3,\n {"a": 2}\n]'))
    assert rows(source) == [(1, 1), (3, 2)]
    assert [(row.line, row.reason) for row in source.bad] == [(2, "a int where an object is needed")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[{"a": 1},\n {"a": }]', "line 2, column 8"),
        ('{"a": 1}', "this is not a list"),
        ('{"a": 1}\n{"a": 2}', "Extra data.*one object per line is a .jsonl file"),
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
    assert [record.line for record in source.records] == [1, 3]
    assert [row.line for row in source.bad] == [2]
    assert why in source.bad[0].reason


def test_whole_escaped_characters_are_no_halves(file):
    assert rows(read_file(file("a.jsonl", r'{"a": "\ud83d\ude00"}'))) == [(1, "😀")]


# --- files that cannot be read


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.json", "a.jsonl"])
@pytest.mark.parametrize("content", [b"", b"\n \n", codecs.BOM_UTF8])
def test_an_empty_file_is_refused(name, content, file):
    with refused("empty_file", name):
        read_file(file(name, content))


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "text,label\n"), ("a.csv", "text,label\n\n\n"), ("a.json", "[]")]
)
def test_a_header_alone_is_refused(name, content, file):
    with refused("empty_file", name):
        read_file(file(name, content))


def test_a_file_that_is_not_there(tmp_path):
    for name in ("nowhere.csv", "nowhere", "x" * 5000 + ".csv", ""):
        with refused("file_missing"):
            read_file(tmp_path / name if name else Path("\0"))


def test_a_folder_and_a_strange_ending_are_refused(file, tmp_path):
    with refused("unknown_format", "save it as .csv"):
        read_file(tmp_path)
    for name in ("a.xlsx", "a", "a.csv.gz"):
        with refused("unknown_format", "save it as .csv"):
            read_file(file(name, "text,label\n"))


def test_a_file_that_may_not_be_read(file, monkeypatch):
    path = file("a.csv", "text,label\none,1\n")

    def denied(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", denied)
    with refused("no_permission", "read", "a.csv"):
        read_file(path)


# --- samples, several files, tables in memory


def shuffled(count: int, seed: int) -> str:
    lines = [f"row number {i},{i % 3}\n" for i in range(count)]
    random.Random(seed).shuffle(lines)
    return "text,label\n" + "".join(lines)


def sample(path, *, seed=0):
    return {record.values["text"] for record in read([f"{path}#40"], seed=seed)[0].records}


def test_a_sample_depends_on_the_rows_and_the_seed_alone(file):
    one, other = file("a.csv", shuffled(300, 1)), file("b.csv", shuffled(300, 2))
    assert one.read_bytes() != other.read_bytes()
    assert sample(one) == sample(one) == sample(other)
    assert len(sample(one)) == 40
    assert sample(one) != sample(one, seed=1)


def test_a_sample_keeps_file_order_and_says_what_it_is(file):
    path = file("a.csv", shuffled(300, 1) + "one, comma too many,1\n")
    (source,) = read([f"{path}#40"])
    lines = [record.line for record in source.records]
    assert lines == sorted(lines)
    assert source.facts()["path"] == f"{path}#40"
    assert source.facts()["rows"] == 40
    assert source.bad == [], "a sample is of the rows that can be read"


def test_a_sample_larger_than_the_file_is_the_file(file):
    assert len(read([f"{file('a.csv', shuffled(5, 0))}#40"])[0].records) == 5


def test_a_file_whose_name_ends_like_a_sample_is_that_file(file):
    path = file("a.csv#2", "text,label\n")
    with refused("unknown_format"):
        read([str(path)])


def test_several_files_keep_their_names(file):
    sources = read([str(file("a.csv", "text,label\none,1\n")), str(file("b.jsonl", '{"text": "two"}\n'))])
    assert [source.records[0].place for source in sources] == [
        f"{s.path} line {n}" for s, n in zip(sources, (2, 1), strict=True)
    ]


def test_a_table_in_memory_becomes_plain_rows():
    import pandas as pd

    table = pd.DataFrame({"text": ["a", None], "label": [1.0, float("nan")], 3: [True, False]})
    found = table_rows(table)
    assert found == [{"text": "a", "label": 1.0, "3": True}, {"text": None, "label": None, "3": False}]
    assert all(type(v) in (str, float, bool, type(None)) for row in found for v in row.values())
    assert table_rows([{"a": 1}]) == [{"a": 1}]
    json.dumps(table_rows(pd.DataFrame({"n": [1, 2]})))


@pytest.mark.parametrize("thing", ["a.csv", 3, [1], ["a", {}], {"a": 1}])
def test_what_is_no_table_is_refused(thing):
    with refused("wrong_usage", "list of dicts"):
        table_rows(thing)
