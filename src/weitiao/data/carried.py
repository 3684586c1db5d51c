"""Places in a text that was changed: where its parts are now.

    carried([(14, 20)], "Ada  lived in London.", "Ada lived in London!")  ->  [(13, 19)]

Both are compared word by word.  What begins or ends within a word that was changed takes all that stands for it now.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from difflib import SequenceMatcher

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
# Accents of their own, and what nobody sees, belong to the word that they stand in.
PIECE = re.compile(rf"[{_HAN}]|(?:(?![{_HAN}])\w|[\u0300-\u036f\u00ad\u200b-\u200d\u2060\ufeff])+|\S")


def carried(spans: Sequence[tuple[int, int]], before: str, after: str) -> list[tuple[int, int]]:
    """Where parts of a text stand in what became of it; an empty place where nothing is left of one.

    Args:
        spans: first code point and the one behind the last, in `before`.
        before: the text.
        after: the text as it is now.
    """
    old, new = (list(PIECE.finditer(text)) for text in (before, after))
    if not old or not new:
        return [(0, 0)] * len(spans)
    words, now_words = ([piece[0] for piece in pieces] for pieces in (old, new))
    blocks = SequenceMatcher(None, words, now_words, autojunk=False).get_opcodes()
    starts = [begin for _, begin, *_ in blocks]
    begins, ends = [piece.start() for piece in old], [piece.end() for piece in old]

    def now(piece: int, place: int) -> tuple[int, int]:
        """What stands for a place in a piece now, and what for all up to it."""
        kind, i1, i2, j1, j2 = blocks[bisect_right(starts, piece) - 1]
        if kind == "equal":
            found = new[j1 + piece - i1].start() + place - begins[piece]
            return found, found
        if i2 - i1 == j2 - j1:  # each word for one
            return new[j1 + piece - i1].span()
        return (new[j1].start(), new[j2 - 1].end()) if j1 < j2 else (new[min(j1, len(new) - 1)].start(),) * 2

    found = []
    for start, end in spans:
        first = min(bisect_right(ends, start), len(old) - 1)
        last = max(first, bisect_left(begins, end) - 1)
        begin = now(first, max(start, begins[first]))[0]
        found.append((begin, max(begin, now(last, min(end, ends[last]))[1])))
    return found
