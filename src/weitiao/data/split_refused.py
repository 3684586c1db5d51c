"""What no split may leave: a side that was asked for without rows, a label without training rows.

sides, Checked  ->  refuse_empty(...), refuse_untrained(...)  ->  nothing, or the fault with its way out
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from weitiao.core.errors import fault
from weitiao.core.recipe import Data
from weitiao.core.why import reason
from weitiao.data.check import DEALT, Checked

if TYPE_CHECKING:
    import numpy as np


def refuse_empty(sides: dict[str, np.ndarray], checked: Checked, group: np.ndarray, data: Data) -> None:
    """No side that was asked for may be empty.

    Raises:
        WeitiaoError: `empty_side`, `too_few_groups`, `too_few_rows`.
    """
    marks = checked.marks
    rows, settings = len(marks.key), data.split
    asked = {
        "validation": bool(settings.validation or settings.folds or data.validation),
        "test": bool(settings.test or settings.test_folds or data.test),
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
        why = reason("none_left_for", sides=names)
        raise fault("too_few_rows", rows=rows, why=why, needed=needed)


def refuse_untrained(sides: dict[str, np.ndarray], checked: Checked, labels: Sequence[Sequence[str]]) -> None:
    """Every label must be trained on; of several labels each, whatever it stands beside."""
    marks = checked.marks
    if labels:
        known = {label for row in sides["train"] for label in labels[row]}
        strange = sorted({label for each in labels for label in each} - known)
        if strange:
            where = [row for row, each in enumerate(labels) if strange[0] in each]
            place = checked.rows[where[0]].place
            raise fault("untrained_label", label=strange[0], count=len(where), place=place)
        return
    trained = set(marks.stratum[sides["train"]].tolist())
    missing = sorted((marks.strata[code], code) for code in set(marks.stratum.tolist()) - trained)
    if missing:
        label, code = missing[0]
        where = (marks.stratum == code).nonzero()[0]
        place = checked.rows[int(where[0])].place
        raise fault("untrained_label", label=label, count=len(where), place=place)
