"""Plain text is a row a line; CoNLL is a row a sentence."""

from __future__ import annotations

import pytest

from tests.data.read.conftest import bad, records, refused, rows
from weitiao.data.read import BadRow, read_file


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.TXT"])
def test_every_line_that_says_something_is_a_row(name, file):
    source = read_file(file(name, "one\n\n  \n two, 2 \r\n# three\u2028and more\n"))
    assert rows(source) == [(1, "one"), (4, " two, 2 "), (5, "# three\u2028and more")]
    assert source.columns == ["text"]


def test_blank_lines_alone_are_no_rows(file):
    with refused("empty_file", "a.txt"):
        read_file(file("a.txt", "\n \n\n"))


def test_any_ending_may_be_named_as_text(file):
    assert rows(read_file(file("notes.log", "one\ntwo"), format="text")) == [(1, "one"), (2, "two")]
    with refused("unknown_format", ".log"):
        read_file(file("notes.log", "one\ntwo"))


SENTENCES = """-DOCSTART- -X- O O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

# sent_id = 2
我 O
爱 O
北京 B-LOC


# O
"""


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.conll", "auto"),
        ("a.bio", "auto"),
        ("a.iob", "auto"),
        ("a.txt", "conll"),
        ("a.tsv", "conll"),
        ("a", "conll"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_sentences_of_tokens_and_tags(name, format, end, file):
    source = read_file(file(name, SENTENCES.replace("\n", end)), format=format)
    assert source.columns == ["tokens", "tags"]
    assert rows(source) == [
        (3, ["EU", "rejects"], ["B-ORG", "O"]),
        (7, ["我", "爱", "北京"], ["O", "O", "B-LOC"]),
        (12, ["#"], ["O"]),
    ]
    assert bad(source) == []


def test_with_tabs_a_token_may_hold_spaces_or_be_one(file):
    source = read_file(file("a.conll", "New York\tB-LOC\n \tO\nis\tO\n"))
    assert rows(source) == [(1, ["New York", " ", "is"], ["B-LOC", "O", "O"])]


@pytest.mark.parametrize(
    ("line", "reason"),
    [("token", "line 4 holds no tag"), ("token\t", "line 4 holds no tag"), ("\tO", "line 4 holds no token")],
)
def test_a_line_without_a_tag_costs_its_sentence_alone(line, reason, file):
    source = read_file(file("a.conll", f"a O\n\nb O\n{line}\nc O\n\nd O\n"))
    assert [record.line for record in records(source)] == [1, 7]
    (row,) = [row for row in source.rows() if isinstance(row, BadRow)]
    assert (row.line, row.reason) == (3, reason)
    assert row.raw == f"b O\n{line}\nc O"
