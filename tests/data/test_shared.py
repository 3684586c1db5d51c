"""What rows begin with stands once: the tree of rows, beside all their beginnings counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weitiao.data.shared import grown

ROWS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=1, max_size=9)


def read(tree, rows):
    """Ids and positions of every row, put together from its pieces."""
    ids, positions = np.concatenate(tree.ids), tree.positions()
    places = np.split(tree.places(len(rows)), np.cumsum([len(row) for row in rows])[:-1])
    return [ids[own].tolist() for own in places], [positions[own].tolist() for own in places]


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(1, 6))
def test_every_row_is_its_pieces_and_shared_ones_save_what_they_must(rows, worth):
    tree = grown([np.array(row) for row in rows], worth=worth)
    ids, positions = read(tree, rows)
    assert ids == rows
    assert positions == [list(range(len(row))) for row in rows]
    assert all(parent < piece for piece, parent in enumerate(tree.parents)), (
        "what is gone on from stands before"
    )
    assert all(map(len, tree.ids))
    users = [0] * len(tree.ids)
    for row in range(len(rows)):
        piece = tree.of_row[row]
        while piece >= 0:
            users[piece] += 1
            piece = tree.parents[piece]
    assert all(n == 1 or len(own) * (n - 1) >= worth for n, own in zip(users, tree.ids, strict=True))


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_at_no_least_worth_every_beginning_stands_exactly_once(rows):
    tree = grown([np.array(row) for row in rows], worth=1)
    assert sum(map(len, tree.ids)) == len(
        {tuple(row[:end]) for row in rows for end in range(1, len(row) + 1)}
    )


@pytest.mark.parametrize("worth", [1, 8])
def test_hundreds_of_rows_inside_each_other_are_no_matter(worth):
    rows = [[5] * n for n in range(1, 300)]
    tree = grown([np.array(row) for row in rows], worth=worth)
    assert read(tree, rows)[0] == rows


def test_another_word_in_a_row_moves_no_other():
    rows = [[1, 2, 3, 4, 7, 8], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 6, 9]]
    other = [rows[0], [1, 2, 3, 4, 9, 6], rows[2]]
    one, two = (grown([np.array(row) for row in each], worth=4) for each in (rows, other))
    assert one.bounds.tolist() == two.bounds.tolist() == [0, 4, 6, 8, 10]
    assert [each.tolist() for each in one.ids[::1]][:2] == [[1, 2, 3, 4], [7, 8]]
    assert one.places(3).tolist() == two.places(3).tolist()
