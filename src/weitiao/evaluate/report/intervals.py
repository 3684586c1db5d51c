"""Where each system's value and interval lie on one scale, for the page to draw as dots and bars.

{system: {metric: {value, low, high}}}, metric  ->  intervals(...)  ->  Intervals, in percent of the width
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from weitiao.evaluate.report.numbers import ticks


@dataclass(frozen=True)
class Intervals:
    """Ticks as (percent, text); rows as (system, value, low, high), the last three in percent; low and high are None
    where a value has no interval."""

    ticks: tuple[tuple[float, str], ...]
    rows: tuple[tuple[str, float, float | None, float | None], ...]


def intervals(metrics: dict[str, dict[str, Any]], metric: str) -> Intervals | None:
    """The scale and the place of every system that has a value on it; None when none has an interval."""
    rows = []
    for system, row in metrics.items():
        value, *ends = (row[metric][key] for key in ("value", "low", "high"))
        if _finite(value):
            rows.append((system, value, *(ends if all(map(_finite, ends)) else (None, None))))
    if all(low is None for _, _, low, _ in rows):
        return None
    numbers = [number for _, *row in rows for number in row if number is not None]
    scale = ticks(min(numbers), max(numbers), 6)

    def percent(number: float) -> float:
        return round(100 * (number - scale[0]) / (scale[-1] - scale[0]), 2)

    return Intervals(
        tuple((percent(tick), f"{tick:g}") for tick in scale),
        tuple((system, *(None if one is None else percent(one) for one in row)) for system, *row in rows),
    )


def _finite(number: float | None) -> bool:
    return number is not None and math.isfinite(number)
