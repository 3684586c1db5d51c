"""The side and the time of a row, as its own columns say.

{"part": "dev", "day": "2026-05-01"}  ->  side_of(values, "part"), time_of(values, "day")  ->  1, (True, 1777593600.0)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from weitiao.core.why import reason
from weitiao.data.formats import Unusable
from weitiao.data.ledger import brief

SIDES = ("train", "validation", "test")
# How people write the sides in a column of their own.
SIDE_NAMES = {
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "eval": "validation",
    "testing": "test",
    "训练": "train",
    "验证": "validation",
    "测试": "test",
}


def side_of(values: Mapping[str, Any], column: str) -> int:
    """The place in `SIDES` of the side that a row names.

    Raises:
        Unusable: when it names none.
    """
    word = str(values.get(column) or "").strip().lower()
    word = SIDE_NAMES.get(word, word)
    if word not in SIDES:
        known = ", ".join(SIDES)
        raise Unusable(reason("no_side", column=column, value=brief(word), known=known))
    return SIDES.index(word)


def time_of(values: Mapping[str, Any], column: str) -> tuple[bool, float]:
    """Whether it is a date, and its seconds; or the number.

    Raises:
        Unusable: when it is neither.
    """
    value: Any = values.get(column)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isfinite(number):
        return False, number
    try:
        date = datetime.fromisoformat(str(value).strip().replace("/", "-"))
    except ValueError:
        raise Unusable(reason("no_time", column=column, value=brief(value))) from None
    # Without a zone of its own it is read as UTC: the machine's would deal the rows otherwise elsewhere.
    return True, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
