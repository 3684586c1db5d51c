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
    """Ticks as (percent, text); rows as (system, value, low, high), the last three in percent."""

    ticks: tuple[tuple[float, str], ...]
    rows: tuple[tuple[str, float, float, float], ...]


def intervals(metrics: dict[str, dict[str, Any]], metric: str) -> Intervals | None:
    """The scale and the place of every system that has an interval on it; None when none has."""
    whole = {
        system: [row[metric][key] for key in ("value", "low", "high")] for system, row in metrics.items()
    }
    rows = [
        (system, *numbers)
        for system, numbers in whole.items()
        if all(number is not None and math.isfinite(number) for number in numbers)
    ]
    if not rows:
        return None
    numbers = [number for _, *row in rows for number in row]
    scale = ticks(min(numbers), max(numbers), 6)

    def percent(number: float) -> float:
        return round(100 * (number - scale[0]) / (scale[-1] - scale[0]), 2)

    return Intervals(
        tuple((percent(tick), f"{tick:g}") for tick in scale),
        tuple((system, *map(percent, row)) for system, *row in rows),  # type: ignore[misc]
    )
