"""Train, validation and test without a text on two sides.

    Checked, settings  ->  split(checked, settings, seed=0)  ->  {"train": indices, "validation": ..., "test": ...}

Rows that must stay together form a group: those that ask the same (after `normalised`), those nearly alike, those of
one user.  Where a group goes depends on what is in it and on the seed, not on places in the file: each label's groups
are ordered by a hash and dealt by the shares.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

from weitiao.core.errors import fault
from weitiao.core.recipe import Data
from weitiao.data.check import DEALT, SIDES, Checked, Marks

if TYPE_CHECKING:
    import numpy as np

TRAIN, VALIDATION, TEST = range(3)


def split(checked: Checked, data: Data, *, seed: int) -> dict[str, np.ndarray]:
    """Deal the rows that have no side of their own; indices of each side's rows, in file order.

    Raises:
        WeitiaoError: `too_few_rows`, `too_few_groups` or `empty_side` when a side that was asked for would stay
            empty; `untrained_label` when a label would be missing from the training rows.
    """
    import numpy as np

    marks = checked.marks
    group = together(marks)
    side = marks.side.copy()
    free = np.flatnonzero(side == DEALT)
    if len(free):
        side[free] = _deal(marks.take(free), group[free], data, seed=seed)
    sides = {name: np.flatnonzero(side == number) for number, name in enumerate(SIDES)}
    _refuse_empty(sides, checked, group, data)
    sizes = np.bincount(group)
    checked.ledger.leaks["groups"] = int((sizes > 1).sum())
    checked.ledger.leaks["rows_in_groups"] = int(sizes[sizes > 1].sum())
    return sides


def together(marks: Marks) -> np.ndarray:
    """A number for every row, equal for rows that must stay on one side, through whatever chain of likeness.

    Groups are numbered from 0, in the order in which their first rows stand.
    """
    import numpy as np

    if not len(marks.key):
        return np.empty(0, dtype=np.int64)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = len(marks.key)
    joined = [np.unique(marks.group, return_inverse=True)[1], np.unique(marks.near, return_inverse=True)[1]]
    if marks.by.any():
        # A row without a value of its own belongs to nobody.
        alone = np.where(marks.by == 0, marks.key, marks.by)
        joined.append(np.unique(alone, return_inverse=True)[1])
    # Every row is tied to a node for each of its likenesses; rows reached over ties are one group.
    offsets = np.cumsum([rows, *(int(codes.max()) + 1 for codes in joined[:-1])])
    ends = np.concatenate([codes + offset for codes, offset in zip(joined, offsets, strict=True)])
    starts = np.tile(np.arange(rows), len(joined))
    nodes = int(ends.max()) + 1
    ties = coo_array((np.ones(len(starts), dtype=np.int8), (starts, ends)), shape=(nodes, nodes))
    met = connected_components(ties, directed=False)[1][:rows]
    _, first, group = np.unique(met, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[group]


def _deal(marks: Marks, group: np.ndarray, data: Data, *, seed: int) -> np.ndarray:
    """A side for every row; the rows of a group get the same."""
    import numpy as np

    _, group = np.unique(group, return_inverse=True)
    # A group is known by the smallest print in it, whichever row of it stands first in the file.
    by_key = np.argsort(marks.key, kind="stable")
    first = np.full(int(group.max()) + 1, -1)
    first[group[by_key[::-1]]] = by_key[::-1]
    sizes = np.bincount(group)
    settings = data.split
    folds = 0 if data.validation else settings.folds or 0
    validation = 0.0 if data.validation or folds else settings.validation
    shares = np.array([0.0 if data.test else settings.test, validation])
    side = np.full(len(sizes), TRAIN, dtype=marks.side.dtype)
    if settings.time:
        # By its latest row: were an early one to decide, training could see what came after a test row.
        latest = np.full(len(sizes), -math.inf)
        np.maximum.at(latest, group, marks.time)
        order = np.lexsort((marks.key[first], -latest))
        side[order] = _by_shares(sizes[order], shares * sizes.sum())
        return side[group]
    chance = np.array([_chance(int(key), seed) for key in marks.key[first]])
    strata = marks.stratum[first] if settings.stratify else np.zeros(len(sizes), dtype=int)
    # What rounding gave one label too much or too little is made good by the next, or many labels of few rows would
    # leave a side empty; never more than half a row, so that no label pays for others.
    owed, turn = np.zeros(2), 0
    by_stratum = np.lexsort((chance, strata))
    parts = np.split(by_stratum, np.flatnonzero(np.diff(strata[by_stratum])) + 1)
    for order in sorted(parts, key=lambda part: marks.strata[strata[part[0]]]):
        wanted = shares * sizes[order].sum() + owed
        if folds:
            side[order] = _by_folds(sizes[order], wanted[0], folds, (settings.fold - turn) % folds)
            turn += int((side[order] != TEST).sum())
        else:
            side[order] = _by_shares(sizes[order], wanted)
        got = [sizes[order][side[order] == chosen].sum() for chosen in (TEST, VALIDATION)]
        owed = np.clip(wanted - got, -0.5, 0.5)
    return side[group]


def _chance(key: int, seed: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=7).digest())


def _head(sizes: np.ndarray, wanted: float) -> np.ndarray:
    """Which groups, in their order, are taken until so many rows are reached; never the last one."""
    import numpy as np

    taken = np.cumsum(sizes) - sizes < round(wanted)
    taken[-1:] = False
    return taken


def _by_shares(sizes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Sides of groups in their order: test until its rows are reached, then validation, then train."""
    import numpy as np

    side = np.where(_head(sizes, wanted[0]), TEST, TRAIN)
    rest = np.flatnonzero(side == TRAIN)
    side[rest] = np.where(_head(sizes[rest], wanted[1]), VALIDATION, TRAIN)
    return side


def _by_folds(sizes: np.ndarray, test: float, folds: int, fold: int) -> np.ndarray:
    """The same test rows whatever the fold; of the others, one part in `folds` validates."""
    import numpy as np

    side = np.where(_head(sizes, test), TEST, TRAIN)
    rest = np.flatnonzero(side == TRAIN)
    dealt = np.cumsum(sizes[rest]) - sizes[rest]  # rows before each group
    place = dealt * folds // max(1, int(sizes[rest].sum()))
    side[rest] = np.where(place == fold, VALIDATION, TRAIN)
    return side


def _refuse_empty(sides: dict[str, np.ndarray], checked: Checked, group: np.ndarray, data: Data) -> None:
    marks = checked.marks
    rows, settings = len(marks.key), data.split
    asked = {
        "validation": bool(settings.validation or settings.folds or data.validation),
        "test": bool(settings.test or data.test),
    }
    if settings.column:
        asked = {}  # whoever names the sides may leave one out
    empty = [name for name, wanted in asked.items() if wanted and not len(sides[name])]
    empty += [] if len(sides["train"]) else ["train"]
    if empty:
        free = group[marks.side == DEALT]
        groups, names = len(set(free.tolist())), ", ".join(empty)
        if rows and not groups:
            raise fault("empty_side", rows=rows, sides=names, removed=checked.ledger.leaks.get("removed", 0))
        if groups < len(free):
            raise fault("too_few_groups", rows=len(free), groups=groups, sides=names)
        smallest = min((share for share in (settings.validation, settings.test) if share), default=1.0)
        needed = max(rows + 1, math.ceil(1 / smallest) * 2)
        why = f"none would be left for {names}"
        raise fault("too_few_rows", rows=rows, why=why, needed=needed)
    trained = set(marks.stratum[sides["train"]].tolist())
    missing = sorted((marks.strata[code], code) for code in set(marks.stratum.tolist()) - trained)
    if missing:
        label, code = missing[0]
        where = (marks.stratum == code).nonzero()[0]
        place = checked.rows[int(where[0])].place
        raise fault("untrained_label", label=label, count=len(where), place=place)
