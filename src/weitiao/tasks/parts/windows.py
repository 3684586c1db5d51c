"""A row that is longer than the model reads, in windows that overlap.

    starts(1000, room=400)                   ->  [0, 300, 600]
    widest([350, 599], [0, 300, 600], ...)   ->  [0, 1]
    spread(1000, room=400)                   ->  [0, 300, 600]      no more of them than are needed

A word is judged where it has most context: in the window whose nearer edge is farthest from it, where the beginning and
the end of the row itself are no edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

SHARED = 4
"""Two windows beside each other share one of so many parts: a word has at least half of that on either side."""


def starts(length: int, *, room: int, shared: int | None = None) -> list[int]:
    """Where windows of `room` tokens begin, so that they cover a row and each is full; one where the row fits.

    Args:
        length: tokens of the row.
        room: tokens of a window.
        shared: tokens that two windows beside each other share, at most the half of one; default: one part of `SHARED`.
    """
    if length <= room:
        return [0]
    step = max(1, room - (room // SHARED if shared is None else min(shared, room // 2)))
    return [*range(0, length - room, step), length - room]


def widest(places: Any, begins: Sequence[int], *, room: int, length: int) -> Any:
    """Which window each place (N,) has most context in (N,)."""
    starts_K = np.asarray(begins)
    inside_NK = np.asarray(places)[:, None] - starts_K
    left_NK = np.where(starts_K == 0, length, inside_NK)
    right_NK = np.where(starts_K + room >= length, length, room - 1 - inside_NK)
    holds_NK = (inside_NK >= 0) & (inside_NK < room)
    return np.where(holds_NK, np.minimum(left_NK, right_NK), -1).argmax(1)


def spread(length: int, *, room: int) -> list[int]:
    """Where as few windows of `room` tokens as cover a row begin: evenly, so that all share what is left over."""
    count = max(1, -(-length // room))
    return [place * (length - room) // (count - 1) for place in range(count)] if count > 1 else [0]
