"""Train, validation and test without a text on two sides.

    Checked, settings  ->  split(checked, settings, seed=0)  ->  {"train": indices, "validation": ..., "test": ...}

Rows that must stay together form a group: those that ask the same (after `normalised`), those nearly alike, those of
one user.  Where a group goes depends on what is in it and on the seed, not on places in the file: each label's groups
are ordered by a hash and dealt by the shares.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from weitiao.core.recipe import Data
from weitiao.data import folds
from weitiao.data.check import DEALT, SIDES, Checked, Marks
from weitiao.data.labels import label_names
from weitiao.data.split_refused import refuse_empty, refuse_untrained
from weitiao.data.stratify import stratified

if TYPE_CHECKING:
    import numpy as np

TRAIN, VALIDATION, TEST, UNUSED = range(4)


def split(checked: Checked, data: Data, *, seed: int) -> dict[str, np.ndarray]:
    """Deal the rows that have no side of their own; indices of each side's rows, in file order.

    Args:
        checked: the rows.
        data: how they are dealt.
        seed: of the dealing, where `data.split.seed` names none.

    Raises:
        WeitiaoError: `too_few_rows`, `too_few_groups` or `empty_side` when a side that was asked for would stay
            empty; `untrained_label` when a label would be missing from the training rows; what `folds.dealt` raises.
    """
    import numpy as np

    seed = seed if data.split.seed is None else data.split.seed
    marks = checked.marks
    group = together(marks)
    side = marks.side.copy()
    free = np.flatnonzero(side == DEALT)
    labels = [label_names(row.values) for row in checked.rows] if checked.shape.several else []
    if len(free):
        own = [labels[row] for row in free] if labels else []
        dealt = _deal_fold if data.split.test_folds else _deal
        side[free] = dealt(marks.take(free), group[free], own, data, seed=seed)
    sides = {name: np.flatnonzero(side == number) for number, name in enumerate(SIDES)}
    refuse_empty(sides, checked, group, data)
    if data.split.train_share < 1:
        names = checked.marks.strata if data.split.stratify and not labels else []
        sides["train"] = nested(marks, group, sides["train"], data.split.train_share, names, seed=seed)
    refuse_untrained(sides, checked, labels)
    sizes = np.bincount(group)
    checked.ledger.missed = _told(sides, marks, group, data)
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


def fold_of_rows(checked: Checked, data: Data, *, seed: int) -> np.ndarray:
    """The test fold of every row (N,); -1 for rows that are never tested: those of given validation files, and the first
    ones in order of time.

    Raises:
        WeitiaoError: as `folds.dealt`.
    """
    import numpy as np

    seed = seed if data.split.seed is None else data.split.seed
    marks, group = checked.marks, together(checked.marks)
    found, free = np.full(len(group), -1), np.flatnonzero(checked.marks.side == DEALT)
    labels = [label_names(checked.rows[row].values) for row in free.tolist()] if checked.shape.several else []
    if len(free):
        found[free] = _test_folds(marks.take(free), group[free], labels, data, seed=seed)
    return found


def _test_folds(
    marks: Marks, group: np.ndarray, labels: Sequence[Sequence[str]], data: Data, *, seed: int
) -> np.ndarray:
    import numpy as np

    group, first = _known(marks, group)
    chance = np.array([_chance(int(key), seed) for key in marks.key[first]])
    return folds.dealt(marks, group, labels, data.split, chance_G=chance)


def _deal_fold(
    marks: Marks, group: np.ndarray, labels: Sequence[Sequence[str]], data: Data, *, seed: int
) -> np.ndarray:
    """A side for every row, where one of the `test_folds` tests; validation rows come out of those it may train on."""
    import numpy as np

    fold = _test_folds(marks, group, labels, data, seed=seed)
    turn, settings = data.split.test_fold, data.split
    side = np.where(fold == turn, TEST, UNUSED).astype(marks.side.dtype)
    # In order of time the folds behind are the future, which nothing of this run may see.
    rest = np.flatnonzero(fold < turn if settings.time else fold != turn)
    used = len(rest) + int((fold == turn).sum())
    share = min(settings.validation * used / max(1, len(rest)), 0.99)
    alone = settings.model_copy(update={"test": 0.0, "test_folds": None, "validation": share})
    own = [labels[row] for row in rest.tolist()] if labels else []
    # Each fold draws its validation rows anew, or the same ones would choose in all folds and train in none.
    side[rest] = _deal(
        marks.take(rest), group[rest], own, data.model_copy(update={"split": alone}), seed=f"{seed}/{turn}"
    )
    return side


def nested(
    marks: Marks, group: np.ndarray, rows: np.ndarray, share: float, strata: Sequence[str], *, seed: int
) -> np.ndarray:
    """A share of the training rows, of each label alike, whole groups in the order of their hashes: the rows of a smaller
    share are among those of a larger one.

    Args:
        marks: of all rows.
        group: of each row.
        rows: the training rows.
        share: of them.
        strata: names of the labels, where each keeps its share; at least one group of each stays.
        seed: of the order.
    """
    import numpy as np

    own, first = _known(marks.take(rows), group[rows])
    sizes = np.bincount(own)
    chance = np.array([_chance(int(key), f"{seed}/share") for key in marks.key[rows][first]])
    stratum = marks.stratum[rows][first] if strata else np.zeros(len(sizes), dtype=int)
    kept = np.zeros(len(sizes), dtype=bool)
    for code in np.unique(stratum):
        order = np.flatnonzero(stratum == code)
        order = order[np.argsort(chance[order], kind="stable")]
        before = np.cumsum(sizes[order]) - sizes[order]
        kept[order] = before < max(1, round(share * int(sizes[order].sum())))
    found: np.ndarray = rows[kept[own]]
    return found


def _known(marks: Marks, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Groups counted from 0, and the row by which each is known: that of the smallest print, whichever stands first in
    the file."""
    import numpy as np

    _, group = np.unique(group, return_inverse=True)
    by_key = np.argsort(marks.key, kind="stable")
    first = np.full(int(group.max()) + 1, -1)
    first[group[by_key[::-1]]] = by_key[::-1]
    return group, first


def _deal(
    marks: Marks, group: np.ndarray, labels: Sequence[Sequence[str]], data: Data, *, seed: int | str
) -> np.ndarray:
    """A side for every row; the rows of a group get the same.  `labels` are those of rows that may have several."""
    import numpy as np

    group, first = _known(marks, group)
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
        side[order] = _by_time(sizes[order], shares * sizes.sum())
        return side[group]
    chance = np.array([_chance(int(key), seed) for key in marks.key[first]])
    strata = marks.stratum[first] if settings.stratify else np.zeros(len(sizes), dtype=int)
    rows = shares * sizes.sum()
    # A group larger than what a side shall hold is trained on: whoever wrote most of the rows would else be nearly
    # all of that side, and leave nothing to train on.
    fits = [sizes <= max(1, round(wanted)) for wanted in rows]
    if labels and settings.stratify:
        side[:] = _by_labels(sizes, group, labels, rows, fits, chance, folds, settings.fold)
    else:
        side[:] = _by_stratum(sizes, strata, marks.strata, rows, fits, chance, folds, settings.fold)
    for chosen, wanted in zip((TEST, VALIDATION), rows, strict=True):
        if wanted and sizes.max() > 1 and not (side == chosen).any() and (side == TRAIN).sum() > 1:
            # No group that fits is left: the smallest judges, which is nearest to what was asked for.
            left = np.flatnonzero(side == TRAIN)
            side[left[np.lexsort((chance[left], sizes[left]))[0]]] = chosen
    return side[group]


def _by_stratum(
    sizes: np.ndarray,
    strata: np.ndarray,
    names: Sequence[str],
    rows: np.ndarray,
    fits: list[np.ndarray],
    chance: np.ndarray,
    folds: int,
    fold: int,
) -> np.ndarray:
    """Sides of groups of one label each, label after label."""
    import numpy as np

    shares = rows / sizes.sum()
    # What a side shall hold comes out of the groups that fit it; both sides together out of no more than there is.
    shares = rows / np.maximum([sizes[fit].sum() for fit in fits], 1)
    shares /= max(1.0, shares.sum())
    # What rounding gave one label too much or too little is made good by the next, or many labels of few rows would
    # leave a side empty; never more than half a row, or half a group, so that no label pays for others.
    most = np.array([max(1, sizes[fit].max(initial=0)) / 2 for fit in fits])
    side = np.full(len(sizes), TRAIN)
    parted = _fold_sizes(sizes, fits[0], rows[0], folds)
    owed, turn = np.zeros(2), 0
    by_stratum = np.lexsort((chance, strata))
    parts = np.split(by_stratum, np.flatnonzero(np.diff(strata[by_stratum])) + 1)
    for order in sorted(parts, key=lambda part: names[strata[part[0]]]):
        wanted = shares * [sizes[order][fit[order]].sum() for fit in fits] + owed
        if folds:
            taken = _until(sizes[order], wanted[0], fits[0][order])
            side[order[taken]] = TEST
            turn += _fold(side, order[~taken], sizes, parted, (fold - turn) % folds, folds)
        else:
            side[order] = _by_shares(sizes[order], wanted, [fit[order] for fit in fits])
        got = [sizes[order][side[order] == chosen].sum() for chosen in (TEST, VALIDATION)]
        owed = np.clip(wanted - got, -most, most)
    return side


def _by_labels(
    sizes: np.ndarray,
    group: np.ndarray,
    labels: Sequence[Sequence[str]],
    rows: np.ndarray,
    fits: list[np.ndarray],
    chance: np.ndarray,
    folds: int,
    fold: int,
) -> np.ndarray:
    """Sides of groups whose rows have several labels each, or none."""
    import numpy as np

    counts: list[Counter[str]] = [Counter() for _ in sizes]
    for place, own in zip(group.tolist(), labels, strict=True):
        counts[place].update(own)
    test, validation = (rows / sizes.sum()).tolist()
    if not folds:
        dealt = stratified(sizes, counts, [test, validation, 1 - test - validation], fits, chance, judging=2)
        return np.array([TEST, VALIDATION, TRAIN])[dealt]
    part = (1 - test) / folds
    small = sizes <= max(1, round(part * sizes.sum()))
    # The folds, and behind them nobody's share: what is too large to validate.
    dealt = stratified(
        sizes, counts, [test, *[part] * folds, 0.0], [fits[0], *[small] * folds], chance, judging=1
    )
    return np.select([dealt == 0, dealt == 1 + fold], [TEST, VALIDATION], TRAIN)


def _chance(key: int, seed: int | str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=7).digest())


def _until(sizes: np.ndarray, wanted: float, fits: np.ndarray) -> np.ndarray:
    """Which groups, in their order, are taken so that their rows come nearest to those wanted; never the last one.

    A group that does not fit, or would go further beyond than it leaves short, is passed over for those behind it.
    """
    import numpy as np

    goal = round(wanted)
    if sizes.max(initial=1) == 1:
        taken = np.arange(len(sizes)) < goal
    else:
        taken, total = np.zeros(len(sizes), dtype=bool), 0
        for place, (size, fit) in enumerate(zip(sizes.tolist(), fits.tolist(), strict=True)):
            if fit and total + (size - 1) / 2 < goal:
                taken[place], total = True, total + size
                if total >= goal:
                    break
    taken[-1:] = False
    return taken


def _by_shares(sizes: np.ndarray, wanted: np.ndarray, fits: list[np.ndarray]) -> np.ndarray:
    """Sides of groups in their order: test until its rows are reached, then validation, then train."""
    import numpy as np

    side = np.where(_until(sizes, wanted[0], fits[0]), TEST, TRAIN)
    rest = np.flatnonzero(side == TRAIN)
    side[rest] = np.where(_until(sizes[rest], wanted[1], fits[1][rest]), VALIDATION, TRAIN)
    return side


def _by_time(sizes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Sides of groups, the latest first: whole groups in their order, or training would see what came later."""
    import numpy as np

    side = np.full(len(sizes), TRAIN)
    for chosen, rows in ((TEST, wanted[0]), (VALIDATION, wanted[1])):
        rest = np.flatnonzero(side == TRAIN)
        before = np.cumsum(sizes[rest]) - sizes[rest]
        side[rest[:-1]] = np.where(before[:-1] < round(rows), chosen, TRAIN)
    return side


def _fold_sizes(sizes: np.ndarray, fits: np.ndarray, test: float, folds: int) -> np.ndarray:
    """Rows of each group as the folds count them: a group larger than a fold validates in none."""
    import numpy as np

    if not folds:
        return sizes
    return np.where(sizes <= max(1, round((sizes.sum() - test) / folds)), sizes, 0)


def _fold(
    side: np.ndarray, rest: np.ndarray, sizes: np.ndarray, parted: np.ndarray, fold: int, folds: int
) -> int:
    """One part in `folds` of a label's groups that are not for the test validates; how many groups there were."""
    import numpy as np

    rest = rest[parted[rest] > 0]
    dealt = np.cumsum(sizes[rest]) - sizes[rest]  # rows before each group
    place = dealt * folds // max(1, int(sizes[rest].sum()))
    side[rest[place == fold]] = VALIDATION
    return len(rest)


def _told(sides: dict[str, np.ndarray], marks: Marks, group: np.ndarray, data: Data) -> dict[str, list[int]]:
    """Sides that miss what was asked of them by more than one group that fits: [rows, rows asked for]."""
    import numpy as np

    free, settings = marks.side == DEALT, data.split
    if not free.any() or settings.column or (settings.test_folds and settings.time):
        return {}
    sizes = np.bincount(np.unique(group[free], return_inverse=True)[1])
    test = 0.0 if data.test else 1 / settings.test_folds if settings.test_folds else settings.test
    rest, asked = 1 - test, {"test": test, "validation": settings.validation}
    if data.validation:
        asked["validation"] = 0.0
    elif data.split.folds:
        asked["validation"] = rest / data.split.folds
    missed = {}
    for name, share in asked.items():
        rows, wanted = len(sides[name]), share * int(free.sum())
        largest = sizes[sizes <= max(1, wanted)].max(initial=1)
        if share and abs(rows - wanted) > largest + 1:
            missed[name] = [rows, round(wanted)]
    return missed
