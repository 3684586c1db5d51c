"""A source in, one of some of its rows out: `reviews.csv#500`.

A row's chance is its own hash, so the sample does not depend on the order of rows, and memory on the sample's size alone.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from weitiao.core.contracts import Record
from weitiao.core.why import reason
from weitiao.data.read.source import BadRow, Source


def sampled(source: Source, count: int, *, seed: int) -> Source:
    """A source of `count` of its rows in the order of the file; those that cannot be read are none of them, and counted."""

    def chance(record: Record) -> str:
        content = json.dumps(record.values, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(f"{seed}:{content}".encode()).hexdigest()

    def records() -> Iterator[tuple[int, Record]]:
        return enumerate(row for row in source.rows() if isinstance(row, Record))

    @cache
    def chosen() -> frozenset[int]:
        drawn = heapq.nsmallest(count, ((chance(record), at) for at, record in records()))
        return frozenset(at for _, at in drawn)

    def rows() -> Iterator[Record | BadRow]:
        at = bad = 0
        for row in source.rows():
            if isinstance(row, BadRow):
                bad += 1
                continue
            if at in chosen():
                yield row
            at += 1
        sample.drawn_from = at
        if bad:
            sample.notes = (*source.notes, reason("not_drawn_from", count=bad))

    sample = replace(source, path=f"{source.path}#{count}", sample=count, rows=rows)
    return sample
