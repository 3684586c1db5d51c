"""Questions that stand within their paragraphs, and these within articles (SQuAD, CMRC), as rows of their own.

    {"title": "Ada", "paragraphs": [{"context": "...", "qas": [{"question": "...", "answers": [...]}, ...]}]}
        ->  {"title": "Ada", "context": "...", "question": "...", "answers": [...]}, ...

What holds `paragraphs` or `qas` is opened; what stands beside them belongs to every row within.  A part that cannot be
opened is one bad row, and the others stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.why import reason
from weitiao.data.read.source import BadRow, Source, numbered, seen_columns, shown

LEVELS = ("paragraphs", "qas")
"""Names of the lists, from outside to inside."""
COLUMNS = {"context_text": "context", "query_text": "question"}
"""What the first CMRC calls them."""


def opened(source: Source) -> Source:
    """The source with a row a question, where its rows nest; else as it is."""
    if not any(name in source.columns for name in LEVELS):
        return source

    def rows() -> Iterator[Record | BadRow]:
        return numbered(_rows(source.rows()))

    return replace(source, rows=rows, columns=seen_columns(rows()))


def nests(values: Mapping[str, Any]) -> bool:
    """Is this an article, or a paragraph?"""
    return any(isinstance(values.get(name), list) for name in LEVELS)


def _rows(rows: Iterable[Record | BadRow]) -> Iterator[Record | BadRow]:
    for row in rows:
        if isinstance(row, BadRow):
            yield replace(row, nth=0)
        else:
            yield from _within(row, row.values, {}, "")


def _within(row: Record, values: Any, around: Mapping[str, Any], where: str) -> Iterator[Record | BadRow]:
    """The rows in an object: itself, or those in its list."""
    if not isinstance(values, Mapping):
        yield _bad(
            row,
            reason("nested_no_object", where=where, kind=reason("kind", type=type(values).__name__)),
            values,
        )
        return
    level = next((name for name in LEVELS if name in values), None)
    own = dict(around)
    for name, value in values.items():
        if name != level:
            own[COLUMNS.get(str(name), str(name))] = value
    if level is None:
        yield Record(row.file, row.line, own)
        return
    inner, named = values[level], f"{where}.{level}".lstrip(".")
    if not isinstance(inner, list):
        yield _bad(
            row, reason("nested_no_list", where=named, kind=reason("kind", type=type(inner).__name__)), inner
        )
    elif not inner:
        yield _bad(row, reason("nested_empty", where=named), values)
    else:
        for number, one in enumerate(inner, start=1):
            yield from _within(row, one, own, f"{named}[{number}]")


def _bad(row: Record, why: str, values: Any) -> BadRow:
    return BadRow(row.file, row.line, why, shown(json.dumps(values, ensure_ascii=False, default=str)))
