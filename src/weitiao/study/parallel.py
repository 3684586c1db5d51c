"""Parallel coordinates: a line a trial, through an axis for each setting and one for what it is worth.

finished trials, the space  ->  parallel(rows, space, ...)  ->  inline SVG, and what each axis is

The SVG holds numbers only: axes are counted, and a list beside the drawing says what each of them is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weitiao.evaluate.report.svg import pixel, text

SIZE = (520, 250)
EDGE, TOP, BOTTOM = 18, 10, 26
"""Pixels around the axes."""


@dataclass(frozen=True)
class Way:
    """One axis."""

    key: str
    low: float
    high: float
    log: bool = False
    choices: tuple[str, ...] = ()
    """From the bottom to the top; none where values are numbers."""

    def at(self, value: Any) -> float | None:
        """How far up a value lies, from 0 to 1; None where there is none."""
        if value is None:
            return None
        if self.choices:
            own = self.choices.index(str(value)) if str(value) in self.choices else None
            return None if own is None else (own + 0.5) / len(self.choices)
        low, high, value = (math.log(one) if self.log else one for one in (self.low, self.high, float(value)))
        return (value - low) / (high - low) if high > low else 0.5


def parallel(
    rows: Sequence[Mapping[str, Any]],
    space: Sequence[Mapping[str, Any]],
    *,
    goal: Mapping[str, Any],
    best: int | None,
) -> tuple[str, list[Way]]:
    """The drawing and its axes; nothing where there are no two trials, or nothing was searched.

    Args:
        rows: finished trials with `values` and `goals`.
        space: as `search.json` has it.
        goal: the first one; the last axis.
        best: number of the trial that stands out.
    """
    keys = list(dict.fromkeys(one["key"] for one in space))
    if len(rows) < 2 or not keys:
        return "", []
    ways = [_way(key, rows, space) for key in keys]
    worth = [row["goals"][0] for row in rows]
    ways.append(Way(goal["name"], min(worth), max(worth)))
    width, height = SIZE
    places = [EDGE + (width - 2 * EDGE) * at / (len(ways) - 1) for at in range(len(ways))]
    bottom = height - BOTTOM
    parts = []
    for number, x in enumerate(places, start=1):
        parts.append(f'<path d="M{pixel(x)} {TOP}V{bottom}" stroke="var(--line)" stroke-width="1"/>')
        parts.append(text(x, bottom + 16, "middle", str(number)))
    # The winner last, so that it lies above all others.
    for row in sorted(rows, key=lambda one: (one["number"] == best, one["number"])):
        ink, look = ("tuned", "2.2") if row["number"] == best else ("soft", "1")
        shade = "" if row["number"] == best else ' opacity="0.5"'
        values = [row["values"].get(way.key) for way in ways[:-1]] + [row["goals"][0]]
        ups = [way.at(value) for way, value in zip(ways, values, strict=True)]
        # A setting that a trial does not have is passed by.
        points = [
            (x, bottom - (bottom - TOP) * up) for x, up in zip(places, ups, strict=True) if up is not None
        ]
        line = " ".join(f"{pixel(x)},{pixel(y)}" for x, y in points)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="var(--{ink})" stroke-width="{look}" stroke-linejoin="round"{shade}/>'
        )
        parts += [
            f'<circle cx="{pixel(x)}" cy="{pixel(y)}" r="2.4" fill="var(--{ink})"{shade}/>' for x, y in points
        ]
    return f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(parts)}</svg>', ways


def _way(key: str, rows: Sequence[Mapping[str, Any]], space: Sequence[Mapping[str, Any]]) -> Way:
    own = [one for one in space if one["key"] == key]
    values = [row["values"][key] for row in rows if row["values"].get(key) is not None]
    if own[0]["type"] == "categorical":
        choices = dict.fromkeys([*(str(one) for each in own for one in each["choices"]), *map(str, values)])
        return Way(key, 0.0, 1.0, choices=tuple(choices))
    # The recipe's own value may lie outside.
    low = min([*(one["low"] for one in own), *values])
    high = max([*(one["high"] for one in own), *values])
    return Way(key, low, high, log=bool(own[0]["log"]) and low > 0)
