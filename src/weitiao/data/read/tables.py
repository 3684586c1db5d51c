"""CSV and TSV in, one record a row out; text stays text.

    text,label          ->  Record(line=2, {"text": "good, very", "label": "1"})
    "good, very",1

Rows go through Python's `csv`.  What it cannot take apart costs the physical line it began on, and nothing behind it.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.data.read.source import BadRow, Source, shown
from weitiao.data.read.text import Text

LONGEST_ROW = 1 << 24
"""Characters; a quoted cell that has not ended by then was never meant to."""

SAYS = re.compile(r"""\s*"?sep=(?P<mark>[^\s"'\w]|\t|\\t)"?(?P=mark)*\s*""", re.IGNORECASE)
"""A line above the header that tells Excel how columns are set apart; behind it may stand empty cells."""


def read_table(text: Text, *, format: str) -> Source:
    """Open a table; its header tells how columns are set apart (CSV), a tab does (TSV), or a line `sep=;` above.

    Raises:
        WeitiaoError: `empty_file`, `bad_header`, `open_quote` when the header itself cannot be taken apart.
    """
    path = str(text.path)
    said, first, above = "", "", 0
    for number, physical in enumerate(text.lines(newline=""), start=1):
        mark = SAYS.fullmatch(physical)
        if mark and not said:
            said, above = mark["mark"].replace("\\t", "\t"), number
        elif physical.strip():
            first = physical
            break
    if not first:
        raise fault("empty_file", path=path, why=reason("file_is_empty"))
    delimiter = said or ("\t" if format.startswith("tsv") else delimiter_of(first))

    def pieces() -> Iterator[tuple[int, list[str] | str, str]]:
        rows = taken_apart(islice(text.lines(newline=""), above, None), delimiter=delimiter)
        return ((above + line, cells, raw) for line, cells, raw in rows)

    line, header, raw = next((line, cells, raw) for line, cells, raw in pieces() if raw.strip())
    if isinstance(header, str):
        raise fault("open_quote", path=path, line=line, why=header)
    if text.spoilt(raw):
        raise fault("bad_header", path=path, why=text.spoilt(raw))
    header = [name.strip() for name in header]
    below = (cells for number, cells, _ in pieces() if number > line and cells)
    kept, notes = kept_columns(path, header, below)
    columns = [header[at] for at in kept]

    def rows() -> Iterator[Record | BadRow]:
        for number, cells, raw in pieces():
            if number <= line or not cells:  # the header; an empty line is no row
                continue
            if isinstance(cells, str):
                yield BadRow(path, number, reason("not_taken_apart", why=cells), shown(raw))
            elif why := text.spoilt(raw):
                yield BadRow(path, number, why, shown(raw))
            elif len(cells) != len(header):
                why = reason("other_cells", cells=len(cells), header=len(header))
                yield BadRow(path, number, why, shown(raw))
            else:
                yield Record(path, number, {header[at]: cells[at] for at in kept})

    return Source(path, format, text.encoding, text.sha256, columns, rows, notes)


def kept_columns(
    path: str, header: list[str], below: Iterable[Sequence[Any]]
) -> tuple[list[int], tuple[str, ...]]:
    """The places of the columns that are read, and what is told of others: a column without a name that holds
    nothing (a comma at the end of each line) or the rows' own numbers (the index of a pandas table) is left out.

    Raises:
        WeitiaoError: `bad_header`.
    """
    nameless = [at for at, name in enumerate(header) if not name]
    if not nameless or len(nameless) == len(header):
        return list(range(len(checked_header(path, header)))), ()
    empty, index = set(nameless), set(nameless)
    begins: dict[int, int] = {}
    for number, cells in enumerate(below):
        if isinstance(cells, str):  # a row that cannot be taken apart has its number too
            continue
        for at in nameless:
            cell = "" if at >= len(cells) or cells[at] is None else str(cells[at]).strip()
            if cell:
                empty.discard(at)
            runs = cell.isdecimal() and int(cell[:18]) - number == begins.setdefault(
                at, int(cell[:18]) - number
            )
            if not runs or begins[at] not in (0, 1):
                index.discard(at)
    held = [at for at in range(len(header)) if header[at] or at not in empty | index]
    if any(not header[at] for at in held):
        checked_header(path, header)
    checked_header(path, [header[at] for at in held])
    said = [
        reason("column_of_nothing" if at in empty else "column_of_numbers", number=at + 1) for at in nameless
    ]
    return held, tuple(said)


def checked_header(path: str, header: list[str]) -> list[str]:
    """The names of the columns, each of which must be there once.

    Raises:
        WeitiaoError: `bad_header`.
    """
    if "" in header:
        raise fault("bad_header", path=path, why=reason("column_nameless", number=header.index("") + 1))
    if name := twice(header):
        raise fault("bad_header", path=path, why=stands_twice(name))
    return header


def twice(names: Sequence[str]) -> str | None:
    """The first name, in their order, that stands there more than once."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def stands_twice(name: str) -> str:
    """Why such names are refused."""
    return reason("column_twice", name=name)


def delimiter_of(header: str) -> str:
    """How a header sets columns apart."""
    # Only the header is asked: commas inside texts say nothing about how columns are set apart.
    if "," in header or not any(mark in header for mark in ";\t|"):
        return ","
    return max(";\t|", key=header.count)


class _Feed:
    """Physical lines for `csv`, of which those of a broken row are put back."""

    def __init__(self, lines: Iterator[str]):
        self.lines, self.back = lines, list[str]()
        self.row: list[str] = []
        """Lines of the row at hand."""
        # A row may reach as far ahead as lines before it have earned.  So many open quotes, each of which would be
        # followed to the end of the file, cost a time that is linear in the file's size.
        self.credit, self.ahead = 2 * LONGEST_ROW, 0

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self.back.pop() if self.back else next(self.lines)
        if self.row:
            self.ahead += len(line)
        self.row.append(line)
        if self.ahead > min(self.credit, LONGEST_ROW):
            raise csv.Error(reason("never_closed"))
        return line

    def begin(self) -> None:
        """The row at hand is done."""
        self.credit = min(2 * LONGEST_ROW, self.credit + 4 * sum(map(len, self.row)))
        self.row, self.ahead = [], 0

    def put_back(self) -> None:
        """Only the first line of the row at hand is done."""
        self.credit -= self.ahead
        self.back += reversed(self.row[1:])
        del self.row[1:]


def taken_apart(lines: Iterator[str], *, delimiter: str) -> Iterator[tuple[int, list[str] | str, str]]:
    """(line, cells, raw) of every row, or (line, why not, raw) for a line that begins none."""
    feed, number = _Feed(lines), 1
    rows = csv.reader(feed, delimiter=delimiter, strict=True)
    mark = re.escape(delimiter)
    cell = rf'(?:"[^"]*+(?:""[^"]*+)*+"|[^"{mark}\r\n]*+)'
    well_quoted = re.compile(rf"{cell}(?:{mark}{cell})*+(?:\r\n|\r|\n)?")
    while True:
        feed.begin()
        cells: list[str] | str
        # csv's own limit of 131,072 characters a field is a setting of the whole process: put it back at once.
        before = csv.field_size_limit(LONGEST_ROW)
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            cells = _said(error)
        finally:
            csv.field_size_limit(before)
        raw = "".join(feed.row)
        # csv lets a mark stand inside a plain cell, as in 5" disk.  Over several lines that means that an open quote
        # was closed by the opening one of another row, which would swallow that row.
        if isinstance(cells, list) and len(feed.row) > 1 and not well_quoted.fullmatch(raw):
            cells = reason("never_closed")
        if isinstance(cells, str):
            feed.put_back()
            raw = feed.row[0]
        yield number, cells, raw
        number += len(feed.row)


def _said(error: csv.Error) -> str:
    return reason("never_closed") if str(error) == "unexpected end of data" else str(error)
