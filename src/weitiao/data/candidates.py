"""Rows of one query as one row, and wrong passages for queries that have right ones alone.

    joined([(q, a, 1), (q, b, 0), (p, c, 1)])  ->  (0, q: a right, b wrong), (2, p: c right)
    drawn(rows, count=4, how="bm25", seed=0)   ->  the same, p with passages of other queries beside its own

Wrong passages come from the other rows of the same side, so nothing of a test row is trained on; never one that any row
with the same query calls right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, Literal, TypeAlias

import numpy as np

from weitiao.core.contracts import Record
from weitiao.data.bm25 import Index, ways
from weitiao.data.equal_text import digest, normalised

Placed: TypeAlias = tuple[int, Record]
"""A row, and the place of the one that it is known by."""
BLOCK = 256
"""Queries that are searched for at once."""


def joined(records: Sequence[Record], *, most: int | None) -> Iterator[Placed]:
    """One row a query; the highest of a passage's scores counts.

    Args:
        records: of the shape `ranked`.
        most: passages of a row, at most, where several rows are joined: further ones make further rows, each with one of
            the query's right passages; None: all become one.
    """
    places: dict[int, list[int]] = {}
    for place, record in enumerate(records):
        places.setdefault(digest(normalised(record.values["query"])), []).append(place)
    for same in places.values():
        yield from _parts([(place, records[place]) for place in same], most)


def _parts(rows: Sequence[Placed], most: int | None) -> Iterator[Placed]:
    best: dict[str, float] = {}
    for _, row in rows:
        for text, score in zip(row.values["passages"], row.values["scores"], strict=True):
            key = normalised(text)
            best[key] = max(score, best.get(key, score))
    right = [key for key, score in best.items() if score > 0]
    texts: dict[str, str] = {}
    parts: list[tuple[Placed, list[str]]] = []
    for placed in rows:
        new = []
        for text in placed[1].values["passages"]:
            if (key := normalised(text)) not in texts:
                texts[key] = text
                new.append(key)
        if not parts or (most is not None and new and len(parts[-1][1]) + len(new) > most):
            parts.append((placed, []))
        parts[-1][1].extend(new)
    for number, ((place, row), keys) in enumerate(parts):
        if right and not any(best[key] > 0 for key in keys):
            keys = [right[number % len(right)], *keys]
        values = {"passages": [texts[key] for key in keys], "scores": [best[key] for key in keys]}
        yield place, _with(row, values)


def drawn(
    rows: Sequence[Placed], *, count: int, how: Literal["bm25", "random"], seed: int
) -> Iterator[Placed]:
    """Up to `count` wrong passages for each row whose passages are all right.

    Args:
        rows: of one side, joined.
        count: how many each gets; fewer where there are no more.
        how: those that share most with the query, by their words, and others by chance where too few share any; or all
            by chance.
        seed: of what is drawn; one query gets the same whatever stands beside it, as long as the passages are the same.
    """
    pool: dict[str, str] = {}
    right: dict[str, set[str]] = {}
    for _, row in rows:
        own = right.setdefault(normalised(row.values["query"]), set())
        for text, score in zip(row.values["passages"], row.values["scores"], strict=True):
            pool.setdefault(normalised(text), text)
            if score > 0:
                own.add(normalised(text))
    keys, texts = list(pool), list(pool.values())
    index = Index(texts, ways(texts[:200])) if how == "bm25" and texts else None
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        asked = [row.values["query"] for _, row in block]
        found = index.scores(asked) if index else None
        for n, (place, row) in enumerate(block):
            if min(row.values["scores"]) <= 0:
                yield place, row
                continue
            query = normalised(asked[n])
            near = [] if found is None else _nearest(found, n)
            chosen: list[int] = []
            for one in (*near, *_by_chance(len(keys), query, seed)):
                if len(chosen) == count:
                    break
                if keys[one] not in right[query] and one not in chosen:
                    chosen.append(one)
            passages, scores = row.values["passages"], row.values["scores"]
            wrong = [texts[one] for one in chosen]
            yield (
                place,
                _with(row, {"passages": [*passages, *wrong], "scores": [*scores, *[0.0] * len(wrong)]}),
            )


def _nearest(found_NM: Any, n: int) -> list[int]:
    """The passages that share a word with a query, best first; of equal ones the first."""
    own = slice(found_NM.indptr[n], found_NM.indptr[n + 1])
    places, scores = found_NM.indices[own], found_NM.data[own]
    order = np.lexsort((places, -scores))
    return [int(place) for place in places[order]]


def _by_chance(size: int, query: str, seed: int) -> Iterator[int]:
    """Every place once, in an order of the query's own."""
    chance = Random(f"{seed}/{query}")
    seen: set[int] = set()
    while len(seen) < size:
        if 2 * len(seen) < size:
            if (one := chance.randrange(size)) in seen:
                continue
            rest = [one]
        else:  # hardly any is new: what is left, shuffled
            rest = [one for one in range(size) if one not in seen]
            chance.shuffle(rest)
        seen.update(rest)
        yield from rest


def _with(row: Record, values: Mapping[str, Any]) -> Record:
    return Record(row.file, row.line, {**row.values, **values}, row.nth)
