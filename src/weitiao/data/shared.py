"""Rows that begin alike: their beginnings stand once, as a tree.

    [a b c x], [a b c y z], [a q]  ->  grown(...)  ->  a | b c | x | y z | q      each goes on from the one it stands behind

What stands in a piece sees itself and what it goes on from, never a sibling.  A beginning is shared where that saves tokens
enough to be worth a piece more; whether they are a prompt, a system's message or the first words of two answers is no matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

WORTH = 8
"""Tokens that a piece has to save: attention of one more piece takes about as long as they do."""


@dataclass
class Tree:
    """Rows as pieces that lie end to end, each behind what it goes on from."""

    ids: list[np.ndarray] = field(default_factory=list)
    """Tokens of every piece."""
    starts: list[int] = field(default_factory=list)
    """How many tokens of a row stand before it."""
    parents: list[int] = field(default_factory=list)
    """Which piece each goes on from; -1: none."""
    of_row: dict[int, int] = field(default_factory=dict)
    """The last piece of every row."""

    def add(self, ids: np.ndarray, start: int, end: int, parent: int) -> int:
        """A piece of a row more; where it stands."""
        self.ids.append(ids[start:end])
        self.starts.append(start)
        self.parents.append(parent)
        return len(self.ids) - 1

    @property
    def bounds(self) -> np.ndarray:
        """Where pieces begin and the last one ends."""
        return np.cumsum([0, *map(len, self.ids)])

    def positions(self) -> np.ndarray:
        """Where in its row each token stands."""
        return np.concatenate(
            [start + np.arange(len(ids)) for start, ids in zip(self.starts, self.ids, strict=True)]
        )

    def places(self, rows: int) -> np.ndarray:
        """Where the tokens of all rows lie, row after row."""
        bounds = self.bounds
        found = []
        for row in range(rows):
            parts, piece = [], self.of_row[row]
            while piece >= 0:
                parts.append(np.arange(bounds[piece], bounds[piece + 1]))
                piece = self.parents[piece]
            found += parts[::-1]
        return np.concatenate(found)


def grown(rows: Sequence[np.ndarray], *, worth: int = WORTH) -> Tree:
    """The tree of these rows, none of them empty.

    Args:
        rows: ids of each.
        worth: tokens that a piece has to save.
    """
    tree, plain = Tree(), [row.tolist() for row in rows]
    order = sorted(range(len(rows)), key=plain.__getitem__)
    waiting = [(order, 0, -1)]
    while waiting:
        group, start, parent = waiting.pop()
        first, last = plain[group[0]], plain[group[-1]]
        # Of rows in order the first and the last share what all of them share.
        common = len(first) if len(group) == 1 else _alike(first, last)
        if len(group) == 1 or (common - start) * (len(group) - 1) >= worth:
            parent = tree.add(rows[group[0]], start, common, parent) if common > start else parent
            start = common
        ended = [row for row in group if len(plain[row]) == common]
        for row in ended:
            tree.of_row[row] = parent if start == common else tree.add(rows[row], start, common, parent)
        parts = list(_parted([row for row in group if len(plain[row]) > common], plain, common))
        # Pieces lie in the order of their rows, whatever stands in them: a changed row moves no other.
        waiting += [(part, start, parent) for part in sorted(parts, key=min, reverse=True)]
    return tree


def _parted(group: Sequence[int], plain: Sequence[list[int]], place: int) -> Iterator[list[int]]:
    """Rows that go on with the same token together."""
    for _, part in groupby(group, key=lambda row: plain[row][place]):
        yield list(part)


def _alike(one: list[int], other: list[int]) -> int:
    """Tokens that two rows begin with both."""
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
