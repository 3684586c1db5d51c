"""The likeliest row of tags among those that can be written.

    costs = moves(("O", "B-PER", "I-PER"), "bio")
    likeliest(logs_NL, costs)  ->  [0, 1, 2, 2, 0]

The likeliest tags of single words may spell what nobody would write: an inside that nothing begins, a type that changes
within a name.  Scorers read such a row as several spans, all of them wrong.  So the row of the highest probability is
taken among those without a fault (Viterbi 1967, doi 10.1109/TIT.1967.1054010); nothing is learnt for it, and a row that
is without fault as it stands stays as it is.
"""

# N words, L tags

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from weitiao.data import tags

FAULT = -1e9
"""What a fault costs: more than the logarithms of all words together, so that there are none where there can be none."""


def moves(labels: Sequence[str], scheme: tags.Scheme) -> NDArray[np.float64]:
    """What it costs to go from one tag to the next (L + 1, L + 1): nothing, or FAULT; the last row and column are the
    borders of a row of tags.  A type of which a tag is missing among the labels binds nothing."""
    steps = [*labels, tags.OUTSIDE]
    kinds = {kind for before in steps for tag in steps for kind in tags.broken(before, tag, scheme)}
    bound = {kind for kind in kinds if {*tags.tag_set([kind], scheme)} <= {*steps}}
    faulty = [[bool(tags.broken(before, tag, scheme) & bound) for tag in steps] for before in steps]
    return np.where(faulty, FAULT, 0.0)


def likeliest(logs_NL: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """The tag of each word (N,), as a place among the labels.

    Args:
        logs_NL: logarithms of each tag's probability; at least one word.
        costs: from `moves`.
    """
    alone = logs_NL.argmax(1)
    steps = [-1, *alone, -1]
    if not costs[steps[:-1], steps[1:]].any():
        return alone
    within_LL = costs[:-1, :-1]
    total_L = costs[-1, :-1] + logs_NL[0]
    came = []
    for log_L in logs_NL[1:]:
        ways_LL = total_L[:, None] + within_LL
        came.append(ways_LL.argmax(0))
        total_L = ways_LL.max(0) + log_L
    path = [int((total_L + costs[:-1, -1]).argmax())]
    for from_L in reversed(came):
        path.append(int(from_L[path[-1]]))
    return np.array(path[::-1])
