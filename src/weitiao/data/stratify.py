"""Groups of rows with several labels each, dealt so that every label keeps its share on every side.

    sizes, labels of each group, shares  ->  stratified  ->  a side for every group

Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011, ECML PKDD, algorithm 1): the label of which fewest rows are
left is dealt first, each of its groups to the side that lacks most rows of it.  Combinations of labels, of which there are many
with few rows each, are not looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def stratified(
    sizes: np.ndarray,
    labels: Sequence[Mapping[str, int]],
    shares: Sequence[float],
    fits: Sequence[np.ndarray],
    chance: np.ndarray,
    *,
    judging: int,
) -> np.ndarray:
    """A side for every group; of every label at least one row goes to a side that does not judge alone.

    Args:
        sizes: rows of each group.
        labels: of each group label -> rows that carry it.
        shares: of all rows, one a side; they sum to 1.
        fits: for each side which groups may go there; the last side takes every one.
        chance: of each group; which of two equal ones goes first.
        judging: how many of the sides, the first ones, never train.
    """
    import numpy as np

    last = len(shares) - 1
    left: Counter[str] = Counter()
    groups: dict[str, list[int]] = {}
    order = np.lexsort((chance, -sizes))
    for group in order.tolist():
        left.update(labels[group])
        for label in labels[group]:
            groups.setdefault(label, []).append(group)
    lacks = [{label: share * rows for label, rows in left.items()} for share in shares]
    room = [share * float(sizes.sum()) for share in shares]
    trained: set[str] = set()
    side = np.full(len(sizes), -1)

    def deal(group: int, label: str | None) -> None:
        own = labels[group]
        bound = any(left[each] == rows and each not in trained for each, rows in own.items())
        first = judging if bound else 0
        open_to = [at for at in range(first, last) if shares[at] and fits[at][group]] + [last]
        # Equal sides have their turn by chance, or one of them would have all rows of odd counts.
        turn = int(chance[group]) % len(shares)
        at = max(
            open_to,
            key=lambda at: (
                round(lacks[at][label], 9) if label is not None else 0.0,
                round(room[at], 9),
                (at + turn) % len(shares),
            ),
        )
        side[group] = at
        room[at] -= float(sizes[group])
        for each, rows in own.items():
            lacks[at][each] -= rows
            left[each] -= rows
            if at >= judging:
                trained.add(each)

    waiting = set(groups)
    while waiting:
        label = min(waiting, key=lambda label: (left[label], label))
        waiting.remove(label)
        for group in groups[label]:
            if side[group] < 0:
                deal(group, label)
    for group in order.tolist():
        if side[group] < 0:
            deal(group, None)
    return side
