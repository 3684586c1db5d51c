"""Tables become records with their line; what cannot be taken apart costs its own line alone."""

from __future__ import annotations

import csv
import io
import random

import pytest

from tests.data.read.conftest import bad, records, refused, rows
from weitiao.data.read import BadRow, read_file, tables


def test_quotes_commas_and_line_feeds_inside_cells(file):
    text = 'text,label\n"a, b",1\n"she said ""hi""",2\n"two\nlines\n\nand more",3\nplain,4\n'
    source = read_file(file("a.csv", text))
    assert rows(source) == [
        (2, "a, b", "1"),
        (3, 'she said "hi"', "2"),
        (4, "two\nlines\n\nand more", "3"),
        (8, "plain", "4"),
    ]
    assert bad(source) == []
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
    assert [tuple(r.values.values()) for r in records(source)] == [(w, w) for w in words]


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
    assert [record.values["label"] for record in records(source)] == ["1", "2"]
    assert bad(source) == []


def test_one_column_is_a_table_too(file):
    assert rows(read_file(file("a.csv", "text\none\ntwo\n"))) == [(2, "one"), (3, "two")]


def test_a_row_of_another_width_is_a_bad_row_of_its_own(file):
    source = read_file(file("a.csv", 'text,label\ngood,1\nan, extra comma,0\n\n"x\ny"\nfine,0\n'))
    assert rows(source) == [(2, "good", "1"), (7, "fine", "0")]
    assert bad(source) == [
        (3, "3 cells where the header has 2"),
        (5, "1 cells where the header has 2"),
    ]
    assert len(list(source.rows())) == 4, "an empty line is no row"


GOOD = ["good,1", '"a, ""b""",2', '"two\nlines",3', '"",4', '5" disk,5', '",",6', 'x,""']


@pytest.mark.parametrize(
    "broken", ['"never closed,2', '"closed" and on,3', '"oh" no,3', '"', 'x,"y', 'a,"', '"x""']
)
def test_a_broken_quote_costs_its_own_line_and_no_other(broken, file):
    whole = read_file(file("whole.csv", "text,label\n" + "\n".join(GOOD)))
    expected = [record.values for record in records(whole)]
    assert len(expected) == len(GOOD)
    for place in range(len(GOOD) + 1):
        lines = [*GOOD[:place], broken, *GOOD[place:]]
        source = read_file(file("a.csv", "text,label\n" + "\n".join(lines)))
        assert [record.values for record in records(source)] == expected, place
        ((line, reason),) = bad(source)
        assert line == 2 + "\n".join(GOOD[:place]).count("\n") + bool(place)
        assert reason.startswith("this row cannot be taken apart: ")
        assert [row.raw for row in source.rows() if isinstance(row, BadRow)] == [broken]


@pytest.mark.parametrize(
    "line", ["plain words,1\n", '"quoted, words",1\n', 'a",b,"\n', '"\n', '"""\n', 'x,"y""\n']
)
def test_many_open_quotes_take_a_time_that_is_linear(line, monkeypatch):
    """By counting the characters that are handed to `csv`, those of lines that are put back each time again."""
    handed = 0

    class Counted(tables._Feed):
        def __next__(self):
            nonlocal handed
            piece = super().__next__()
            handed += len(piece)
            return piece

    monkeypatch.setattr(tables, "_Feed", Counted)
    monkeypatch.setattr(tables, "LONGEST_ROW", 1000)
    lines = [line if at % 100 else '"never closed,1\n' for at in range(5000)]
    found = list(tables.taken_apart(iter(lines), delimiter=","))
    size = sum(map(len, lines))
    assert sum(raw.count("\n") for _, _, raw in found) == len(lines), "every line is in one row"
    assert size <= handed <= 6 * size + 4000


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_behind_a_broken_one_keep_their_numbers(end, file):
    lines = ["text,label", "one,1", '"open,2', "three,3", '"fo"ur,4', '"fi', 've",5', "seven,7"]
    source = read_file(file("a.csv", end.join(lines)))
    assert rows(source) == [(2, "one", "1"), (4, "three", "3"), (6, f"fi{end}ve", "5"), (8, "seven", "7")]
    assert [line for line, _ in bad(source)] == [3, 5]


def test_a_broken_header_is_refused(file):
    with refused("open_quote", "a.csv line 1:"):
        read_file(file("a.csv", '"text,label\none,1\n'))


def test_blank_lines_before_the_header_do_not_count_as_one(file):
    source = read_file(file("a.csv", "\n\ntext,label\none,1\n"))
    assert source.columns == ["text", "label"]
    assert rows(source) == [(4, "one", "1")]


@pytest.mark.parametrize(
    ("header", "why"), [("text,text", '"text" stands twice'), ("text,,label", "column 2 has no name")]
)
def test_a_header_must_name_each_column_once(header, why, file):
    with refused("bad_header", "a.csv", why):
        read_file(file("a.csv", f"{header}\n1,2,3\n"))


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["text,label,", "a,1,", "b,2,"], "column 3 has no name and holds nothing"),
        ([",text,label", "0,a,1", "1,b,2"], "column 1 has no name and holds a running number"),
        ([",text,label", "1,a,1", "2,b,2"], "column 1 has no name and holds a running number"),
    ],
)
def test_a_column_without_name_and_content_is_left_out_and_said(lines, why, file):
    source = read_file(file("a.csv", "\n".join(lines)))
    assert rows(source) == [(2, "a", "1"), (3, "b", "2")]
    assert source.columns == ["text", "label"]
    assert why in source.facts()["notes"][0]


@pytest.mark.parametrize(
    "lines", [[",text", "0,a", "2,b"], [",text", "5,a", "6,b"], ["text,", "a,", "b,x"], [",", "0,"]]
)
def test_a_column_without_name_that_says_something_is_refused(lines, file):
    with refused("bad_header", "has no name"):
        read_file(file("a.csv", "\n".join(lines)))


def test_spaces_around_column_names_are_no_part_of_them(file):
    assert read_file(file("a.csv", "text , label\none,1\n")).columns == ["text", "label"]


def test_a_huge_cell_is_read_and_the_limit_put_back(file):
    before = csv.field_size_limit()
    huge = "word " * 200_000
    source = read_file(file("a.csv", f'text,label\n"{huge}",1\n'))
    assert records(source)[0].values["text"] == huge
    assert csv.field_size_limit() == before
    assert [line for line, _ in bad(read_file(file("b.csv", f'text,label\n"{huge}')))] == [2]
    assert csv.field_size_limit() == before


def test_a_cell_beyond_all_measure_costs_its_row(file, monkeypatch):
    monkeypatch.setattr(tables, "LONGEST_ROW", 1000)
    lines = ["a" * 1000, "b" * 1001, '"' + "c" * 600 + "\n" + "c" * 700 + '"', "fine"]
    source = read_file(file("a.csv", "text\n" + "\n".join(lines)))
    # What follows the line that was given up is read anew, be it the rest of that cell.
    assert [record.line for record in records(source)] == [2, 5, 6]
    assert [line for line, _ in bad(source)] == [3, 4]


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
