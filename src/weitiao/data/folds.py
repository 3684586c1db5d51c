"""Every row in one test fold: what cross-validation trains and tests on.

    Marks, groups, settings  ->  dealt(...)  ->  the fold of every row; -1 where a row is never tested

Whole groups are dealt (rows that ask the same, near duplicates, rows of one user), each label evenly over the folds.  In
order of time the rows are cut into one block more than there are folds: each fold tests a block and trains on all
blocks before it, so that the first block is never tested.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.data.stratify import stratified

if TYPE_CHECKING:
    import numpy as np

    from weitiao.core.recipe import Split
    from weitiao.data.check import Marks


def dealt(
    marks: Marks, group_N: np.ndarray, labels: Sequence[Sequence[str]], split: Split, *, chance_G: np.ndarray
) -> np.ndarray:
    """The test fold of every row (N,), counted from 0; -1 for the first rows in order of time.

    Args:
        marks: of the rows that are dealt.
        group_N: the group of each row, counted from 0.
        labels: those of each row, where rows may have several; else none.
        split: the recipe's section, with `test_folds`.
        chance_G: of each group.

    Raises:
        WeitiaoError: `too_few_for_folds` when a fold would stay empty; `fold_without_label` when one would test no row
            of a label (`stratify`).
    """
    import numpy as np

    folds = cast(int, split.test_folds)
    if split.time:
        fold_N = _by_time(marks.time, group_N, folds)
    else:
        counts: list[Counter[str]] = [Counter() for _ in chance_G]
        if split.stratify:
            # A row without any of several labels is one of a kind of its own, and dealt as evenly.
            own = labels or [[marks.strata[code]] for code in marks.stratum.tolist()]
            for group, each in zip(group_N.tolist(), own, strict=True):
                counts[group].update(each or [""])
        sizes_G = np.bincount(group_N)
        anywhere = [np.ones(len(sizes_G), dtype=bool)] * folds
        fold_G = stratified(sizes_G, counts, [1 / folds] * folds, anywhere, chance_G, judging=0)
        fold_N = fold_G[group_N]
    found = np.bincount(fold_N[fold_N >= 0], minlength=folds)
    if not found.all():
        groups = len(np.unique(marks.time)) if split.time else int(group_N.max(initial=-1)) + 1
        needed = reason("times_needed" if split.time else "groups_needed", count=folds + bool(split.time))
        raise fault("too_few_for_folds", folds=folds, rows=len(group_N), groups=groups, why=needed)
    if split.stratify and not split.time and not labels:
        _refuse_missing(marks, group_N, fold_N, folds)
    return fold_N


def _by_time(time_N: np.ndarray, group_N: np.ndarray, folds: int) -> np.ndarray:
    """Blocks of like size, the first of them -1; what happened at one time lies in one block."""
    import numpy as np

    # By its latest row: were an early one to decide, training could see what came after a test row.
    latest_G = np.full(int(group_N.max(initial=-1)) + 1, -math.inf)
    np.maximum.at(latest_G, group_N, time_N)
    _, moment_N = np.unique(latest_G[group_N], return_inverse=True)
    before_M = np.cumsum(np.bincount(moment_N)) - np.bincount(moment_N)
    blocks = folds + 1
    block_N: np.ndarray = before_M[moment_N] * blocks // max(1, len(time_N))
    return block_N - 1


def _refuse_missing(marks: Marks, group_N: np.ndarray, fold_N: np.ndarray, folds: int) -> None:
    import numpy as np

    for code in sorted(set(marks.stratum.tolist()), key=lambda code: marks.strata[code]):
        own = marks.stratum == code
        tested = set(fold_N[own].tolist())
        if len(tested) < folds:
            groups = len(np.unique(group_N[own]))
            raise fault(
                "fold_without_label",
                label=marks.strata[code],
                rows=int(own.sum()),
                groups=groups,
                folds=folds,
                missing=folds - len(tested),
            )
