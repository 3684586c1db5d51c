"""Which passages there are to be found, which of them are right, and where a search has put these.

    gathered([(question, answer), ...])            ->  Passages(every distinct passage once, the right ones of each row)
    passages.ranks(scores_NM)                      ->  of each row the ranks of its right passages, best first
    passages.found(scores_M, row)                  ->  the places of those that came first, and of the best right one
    ranked([0.2, 3.1, 0.4], [1, 0, 0])             ->  {"ranks": [3], "gains": [1.0], ...}, of a row's own passages

A passage that stands in several rows is one passage, and all that any row with the same question names are right for it.
Of equal scores the right passage counts as the last: a model that gives all texts one vector finds nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


SHOWN = 3
"""So many of those that a search puts first are kept."""


@dataclass(frozen=True)
class Passages:
    """What is searched by some rows."""

    places: list[tuple[int, int]]
    """Of each distinct passage (M,), where it stands first: the row, and which of its passages (0: the right one)."""
    right: list[list[int]]
    """Of each row (N,), its right passages, by number."""
    own: list[int]
    """Of each row (N,), the passage that stands in it as the right one."""

    def ranks(self, scores_NM: Any, first: int = 0) -> list[list[int]]:
        """Ranks, from 1, of the right passages of rows `first`, `first + 1` ...

        Args:
            scores_NM: of each of these rows for every passage; higher is nearer.
            first: which row the first of them is.
        """
        return [_ranks(scores_M, self.right[row]) for row, scores_M in enumerate(scores_NM, start=first)]

    def found(self, scores_M: Any, row: int) -> list[list[int]]:
        """Places (row, which of its passages) of the `SHOWN` first, and behind them, where none of these is right, of the
        best right one.

        Args:
            scores_M: of every passage for this row; higher is nearer.
            row: whose right passages count.
        """
        import numpy as np

        right = np.zeros(len(scores_M), dtype=bool)
        right[self.right[row]] = True
        least = np.partition(scores_M, -SHOWN)[-SHOWN] if len(scores_M) > SHOWN else -np.inf
        near = np.flatnonzero(scores_M >= least)
        first = near[np.lexsort((right[near], -scores_M[near]))][:SHOWN].tolist()
        best = max(self.right[row], key=lambda number: scores_M[number])
        return [[*self.places[number]] for number in (first if right[first].any() else [*first, best])]


def gathered(rows: Sequence[Sequence[Hashable]]) -> Passages:
    """The passages of rows.

    Args:
        rows: of each the question, its right passage, and others; what is equal is the same text.
    """
    numbers: dict[Hashable, int] = {}
    places: list[tuple[int, int]] = []
    answers: dict[Hashable, dict[int, None]] = {}
    for row, (asked, *passages) in enumerate(rows):
        for which, passage in enumerate(passages):
            if passage not in numbers:
                numbers[passage] = len(places)
                places.append((row, which))
        answers.setdefault(asked, {})[numbers[passages[0]]] = None
    own = [numbers[passages[0]] for _, *passages in rows]
    return Passages(places, [list(answers[asked]) for asked, *_ in rows], own)


def ranked(scores_M: Any, gains: Sequence[float]) -> dict[str, list[Any]]:
    """Of passages that a row lists itself: the ranks of the right ones, best first, what each of those is worth, and the
    `SHOWN` first with, where none of these is right, the best right one (`found`: no other row's, and which).

    Args:
        scores_M: of every passage; higher is nearer.
        gains: what each is worth, 0 for a wrong one.
    """
    import numpy as np

    gains_M = np.asarray(gains, dtype=float)
    # Of equal scores the passage that is worth less comes first.
    order_M = np.lexsort((gains_M, -np.asarray(scores_M)))
    ranks = np.flatnonzero(gains_M[order_M] > 0)
    shown = [*range(min(SHOWN, len(order_M)))]
    shown += ranks[:1].tolist() if len(ranks) and ranks[0] >= SHOWN else []
    return {
        "ranks": (ranks + 1).tolist(),
        "gains": gains_M[order_M][ranks].tolist(),
        "found": [[None, int(order_M[rank])] for rank in shown],
    }


def _ranks(scores_M: np.ndarray, right: Sequence[int]) -> list[int]:
    import numpy as np

    found = np.sort(scores_M[list(right)])[::-1]
    others = np.sort(np.delete(scores_M, list(right)))
    before = len(others) - np.searchsorted(others, found, side="left")
    return [int(rank) for rank in before + np.arange(1, len(found) + 1)]
