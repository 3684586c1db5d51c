"""What reading gives: a source, which yields records and bad rows as often as it is asked.

Source(path="reviews.csv", columns=["text", "label"], ...).rows()  ->  Record, Record, BadRow, Record ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from weitiao.core.contracts import Record, place

LONGEST_RAW = 2000
"""Characters of a bad row that are kept for the quarantine."""
LOOKED_AT = 1000
"""Rows that are asked which columns there are, where no header says it."""


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and why."""

    file: str
    line: int
    reason: str
    raw: str = ""
    """The row as it stands in the file, at most `LONGEST_RAW` characters of it."""
    nth: int = 0
    """Which row of its line, as in a `Record`."""

    @property
    def place(self) -> str:
        """`reviews.csv line 218`, as errors say it."""
        return place(self.file, self.line, self.nth)


@dataclass
class Source:
    """One opened file (or folder, or data set)."""

    path: str
    format: str
    encoding: str
    """Empty where bytes are not text (Parquet, Excel, pictures)."""
    sha256: str
    columns: list[str]
    rows: Callable[[], Iterator[Record | BadRow]]
    """Reads from the beginning, lazily; every row of the file comes as exactly one of the two."""
    notes: tuple[str, ...] = ()
    """What a reader of the ledger should know, such as other sheets that were not read."""
    sample: int | None = None
    """How many rows a sample shall have; the path then says so too, the file's name does not."""
    drawn_from: int | None = None
    """Of a sample that was read: how many rows there were to draw from."""

    @property
    def file(self) -> str:
        """The file itself, as errors say it."""
        return self.path if self.sample is None else self.path.removesuffix(f"#{self.sample}")

    def facts(self) -> dict[str, Any]:
        """The file's line in the ledger."""
        facts: dict[str, Any] = {
            "path": self.path,
            "format": self.format,
            "encoding": self.encoding,
            "sha256": self.sha256,
        }
        facts |= {"drawn_from": self.drawn_from} if self.drawn_from is not None else {}
        return facts | ({"notes": list(self.notes)} if self.notes else {})


def numbered(rows: Iterable[Record | BadRow]) -> Iterator[Record | BadRow]:
    """The same rows; those that share a line with the one before them know which they are."""
    line = nth = 0
    for row in rows:
        nth = nth + 1 if row.line == line else 0
        line = row.line
        yield replace(row, nth=nth) if nth else row


def seen_columns(rows: Iterable[Record | BadRow]) -> list[str]:
    """The columns of the first rows, in the order in which they are met."""
    columns: dict[str, None] = {}
    for row in islice(rows, LOOKED_AT):
        if isinstance(row, Record):
            columns |= dict.fromkeys(row.values)
    return list(columns)


def shown(raw: str) -> str:
    """A row for `BadRow.raw`: shortened, without its line end, broken bytes written as escapes."""
    return raw[:LONGEST_RAW].rstrip("\r\n").encode("utf-8", "backslashreplace").decode("utf-8")
