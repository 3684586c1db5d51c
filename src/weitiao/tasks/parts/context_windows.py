"""A context that is longer than the model reads, in windows that overlap, each behind the whole question.

cut(whole, sides(tokenizer), limit=16, shared=4)  ->  [inputs of a window, ...]

[CLS] where [SEP] ada lived in london and ... [SEP]  ->  [CLS] where [SEP] ada lived in [SEP], [CLS] where [SEP] in london and [SEP]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weitiao.core.contracts import Example
from weitiao.tasks.parts.answer_spans import OUTSIDE, tokens_of
from weitiao.tasks.parts.questions import Sides
from weitiao.tasks.parts.windows import starts


def cut(whole: Example, read: Sides, *, limit: int, shared: int) -> list[dict[str, Any]]:
    """The inputs of every window; none where the question leaves no room.

    Args:
        whole: all of a row, encoded.
        read: who did.
        limit: tokens of a window, at most.
        shared: tokens of the context that two windows share.
    """
    given = whole.inputs
    begins, ends = np.asarray(given["begins"]), np.asarray(given["ends"])
    own = np.flatnonzero(begins != OUTSIDE)
    first, length = (int(own[0]) if len(own) else len(whole)), len(own)
    room = limit - (len(whole) - length)
    if room < read.least(limit):
        return []
    golds = tokens_of(pairs(whole.target or ()), begins, ends)
    found = []
    for begin in starts(length, room=room, shared=shared):
        part = slice(first + begin, first + begin + room)

        def window(values: Any, part: slice = part) -> list[int]:
            return [*values[:first], *values[part], *values[first + length :]]

        one = {
            name: window(values) for name, values in given.items() if name not in ("windows", "gold", "text")
        }
        inside_it = held(golds, part.start, part.stop)
        inside = (
            (inside_it[0] - begin, inside_it[1] - begin) if inside_it else (read.null(one["input_ids"]),) * 2
        )
        found.append({**one, "windows": [len(one["input_ids"])], "gold": list(inside), "text": given["text"]})
    return found


def pairs(flat: Sequence[int]) -> list[tuple[int, int]]:
    """Start and end of each answer."""
    return [(int(start), int(end)) for start, end in zip(flat[::2], flat[1::2], strict=True)]


def held(golds: Sequence[tuple[int, int]], begin: int, end: int) -> tuple[int, int] | None:
    """The first answer that lies within these tokens, whole."""
    return next(((first, last) for first, last in golds if begin <= first and last < end), None)


def question_tokens(whole: Example) -> int:
    """Tokens around the context."""
    return sum(begin == OUTSIDE for begin in whole.inputs["begins"])


def seen(cut: Sequence[Mapping[str, Any]]) -> int:
    """Code points up to which windows reach, in tokens of the context: each counted once."""
    return len(
        {(b, e) for one in cut for b, e in zip(one["begins"], one["ends"], strict=True) if b != OUTSIDE}
    )
