"""What the tests of reading share: files made by hand, and rows taken out of a source."""

from __future__ import annotations

from pathlib import Path

import pytest

from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data.read import BadRow, Source


@pytest.fixture
def file(tmp_path):
    """`file("a.csv", text or bytes)` writes and names it."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return write


def refused(code: str, *words: str):
    return pytest.raises(WeitiaoError, match=rf"(?s)^\[{code}\].*" + ".*".join(words))


def records(source: Source) -> list[Record]:
    return [row for row in source.rows() if isinstance(row, Record)]


def rows(source: Source) -> list[tuple]:
    """(line, cell, cell ...) of every record."""
    return [(record.line, *record.values.values()) for record in records(source)]


def bad(source: Source) -> list[tuple[int, str]]:
    """(line, reason) of every bad row."""
    return [(row.line, row.reason) for row in source.rows() if isinstance(row, BadRow)]
