"""Where answers lie among the tokens of a row, and which of all spans the scores speak for.

    tokens_of([(13, 19)], begins, ends)                 ->  [(5, 5)]           characters of the context -> tokens
    likeliest(start_T, end_T, of_context_T, longest=30) ->  [(8.3, 5, 5), ...] the sums of both scores, the largest first

Places in the context count code points, so a token that is a part of a character has the place of all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

OUTSIDE = -1
"""Where a token begins and ends that is no part of the context."""


def tokens_of(spans: Sequence[tuple[int, int]], begins: Any, ends: Any) -> list[tuple[int, int]]:
    """First and last token of each part of the context; parts of which no token shows anything are left out.

    Args:
        spans: first code point and the one behind the last.
        begins: where each token (T,) begins, or OUTSIDE.
        ends: behind its last code point.
    """
    found = []
    for start, end in spans:
        touched = np.flatnonzero((begins < end) & (ends > start) & (ends > begins))
        if len(touched):
            found.append((int(touched[0]), int(touched[-1])))
    return found


def text_of(begin: int, end: int, context: str) -> tuple[int, int]:
    """A part of the context without the white space that tokens bring along."""
    part = context[begin:end]
    begin += len(part) - len(part.lstrip())
    return begin, max(begin, begin + len(part.strip()))


def likeliest(
    start_T: Any, end_T: Any, of_context_T: Any, *, longest: int, count: int = 1
) -> list[tuple[float, int, int]]:
    """Score, first and last token of the spans with the largest sums of both scores.

    Args:
        start_T: how much speaks for an answer that begins at each token.
        end_T: for one that ends there.
        of_context_T: which tokens an answer may begin or end with.
        longest: tokens of an answer, at most.
        count: how many.
    """
    places = np.flatnonzero(of_context_T)
    if not len(places):
        return []
    first, last = int(places[0]), int(places[-1]) + 1
    begin_N, end_N = (
        np.where(of_context_T[first:last], scores[first:last], -np.inf) for scores in (start_T, end_T)
    )
    longest = min(longest, len(end_N))
    behind = np.concatenate([end_N, np.full(longest - 1, -np.inf)])
    sums_NL = begin_N[:, None] + np.lib.stride_tricks.sliding_window_view(behind, longest)
    flat = sums_NL.ravel()
    count = min(count, len(flat))
    best = np.argpartition(-flat, count - 1)[:count]
    best = best[np.lexsort((best, -flat[best]))]
    return [
        (
            float(flat[place]),
            first + int(place) // longest,
            first + int(place) // longest + int(place) % longest,
        )
        for place in best
        if np.isfinite(flat[place])
    ]
