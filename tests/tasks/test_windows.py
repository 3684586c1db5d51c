"""Windows cover a row, each is full, and a word is judged where it has most context."""

from __future__ import annotations

import numpy as np
import pytest

from weitiao.tasks.parts.windows import starts, widest


@pytest.mark.parametrize(
    ("length", "room"), [(10, 4), (9, 9), (3, 9), (100, 7), (1000, 126), (5, 1), (11, 2)]
)
def test_every_place_is_in_the_window_with_most_context(length, room):
    begins = starts(length, room=room)
    assert begins[0] == 0
    assert begins == sorted(set(begins))
    assert all(begin + room <= max(length, room) for begin in begins)
    chosen = widest(np.arange(length), begins, room=room, length=length)
    for place, window in enumerate(chosen):
        holding = [b for b in begins if b <= place < b + room]

        def context(begin, place=place):
            edges = [length if begin == 0 else place - begin]
            edges += [length if begin + room >= length else begin + room - 1 - place]
            return min(edges)

        assert begins[window] in holding
        assert context(begins[window]) == max(map(context, holding))
    if length > room >= 8:
        assert min(context(begins[w], place=p) for p, w in enumerate(chosen)) >= room // 8 - 1
