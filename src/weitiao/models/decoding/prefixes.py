"""Beginnings that have been read: what is kept of ended rows, for prompts that begin as they did.

    kept = Prefixes(tokens=4096)
    kept.keep([5, 6, 7, 8], layers)      layers: of each its keys (1, K, T, D) and values (1, K, T, E)
    kept.found([5, 6, 7, 9])         ->  3, the layers of the first 3 tokens

A conversation that goes on shows all that was said before, and many begin with the same words of a system.  What is kept is of
one model alone, and of so many tokens at most; those that were asked for longest ago go first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor

Layers: TypeAlias = Sequence[tuple[Tensor, Tensor]]
LEAST = 16
"""Tokens that are worth a pass of their own: fewer are read again with others."""


class Prefixes:
    """What is kept.

    Args:
        tokens: of all rows together, at most; 0: nothing is kept.
    """

    def __init__(self, tokens: int = 0) -> None:
        self.most = tokens
        self._kept: list[tuple[list[int], Layers]] = []
        """The one that was asked for last at the end."""

    @property
    def tokens(self) -> int:
        """So many are kept."""
        return sum(len(ids) for ids, _ in self._kept)

    def keep(self, ids: Sequence[int], layers: Layers) -> None:
        """What was read of a row; one that it goes on from is kept in it."""
        if not LEAST <= len(ids) <= self.most:
            return
        self._kept = [each for each in self._kept if shared(each[0], ids) < len(each[0])]
        self._kept.append(([*ids], layers))
        while self.tokens > self.most:
            self._kept.pop(0)

    def found(self, ids: Sequence[int]) -> tuple[int, Layers]:
        """So many of its first tokens, all but the last at most, and what is kept of them; 0 where that is too little."""
        sizes = [min(shared(kept, ids), len(ids) - 1) for kept, _ in self._kept]
        size = max(sizes, default=0)
        if size < LEAST:
            return 0, []
        one = self._kept.pop(sizes.index(size))
        self._kept.append(one)
        return size, [(keys[:, :, :size], values[:, :, :size]) for keys, values in one[1]]

    def forget(self) -> None:
        """All of it."""
        self._kept = []


def shared(a: Sequence[int], b: Sequence[int]) -> int:
    """Tokens with which both begin."""
    return next(
        (place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )
