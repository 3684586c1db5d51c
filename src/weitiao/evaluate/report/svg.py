"""Drawings in a page: lines, dots and numbers over two axes.

[Mark(x, y, ink="tuned")], size  ->  svg(marks, size=size)  ->  inline SVG, its colours those of the page

The SVG holds numbers only.  Every word of a legend is HTML, so a chart needs no font to be measured, and every colour
is a CSS variable, so one drawing serves light, dark and paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from weitiao.evaluate.report.numbers import apart, short, ticks

WIDE, NARROW = (520, 330), (320, 165)  # pixels
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 10, 26
"""Pixels around the axes."""
SPARE = (0.05, 0.08)
"""Room beside and above what is drawn, as a share of its extent, where the ends of an axis are not given."""
PER_STEP = 55  # pixels of height for each step between two numbers

Place = tuple[float, float]


@dataclass(frozen=True)
class Mark:
    """A line through points, dots at them, or both.  What is infinite lies at the edge; where a point is None or nan the
    line is broken."""

    x: Sequence[float | None]
    y: Sequence[float | None]
    ink: str
    """A variable of the page: `tuned`, `other`, `untuned`, `soft`, `line`."""
    width: float = 1.6
    """Of the line, in pixels; 0: none."""
    dot: float = 0.0
    """How wide each dot is, in pixels; 0: none."""
    opacity: float = 1.0
    dashes: str = ""
    """Pixels drawn and left out in turn."""
    hollow: bool = False
    """Are the dots rings?"""


@dataclass(frozen=True)
class Axis:
    """Values between two ends, and where they lie."""

    low: float
    high: float
    start: float
    """The pixel of `low`."""
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value; of an infinite one, that of the end."""
        if math.isinf(value):
            return self.end if value > 0 else self.start
        low, high, value = (math.log(each) if self.log else each for each in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def without(self, values: Iterable[float | None]) -> bool:
        """Does one of them lie beyond an end?"""
        known = (value for value in values if value is not None and math.isfinite(value))
        return any(not self.low <= value <= self.high for value in known)

    def ticks(self, most: int) -> list[float]:
        """Round numbers between both ends."""
        return [tick for tick in ticks(self.low, self.high, most) if self.low <= tick <= self.high]


def upright(x: float, *, ink: str, width: float = 1.2, dashes: str = "") -> Mark:
    """A line from the bottom to the top."""
    return Mark([x, x], [-math.inf, math.inf], ink, width=width, dashes=dashes)


def level(y: float, *, ink: str, width: float = 1.0, dashes: str = "5 4") -> Mark:
    """A line from the left to the right."""
    return Mark([-math.inf, math.inf], [y, y], ink, width=width, dashes=dashes)


def spans(
    x: Sequence[float], low: Sequence[float | None], high: Sequence[float | None], *, ink: str
) -> list[Mark]:
    """An interval over each `x`."""
    return [
        Mark([at, at], ends, ink, opacity=0.35)
        for at, *ends in zip(x, low, high, strict=True)
        if None not in ends
    ]


def svg(
    marks: Sequence[Mark],
    *,
    size: tuple[int, int],
    x: tuple[float, float] | None = None,
    y: tuple[float, float] | None = None,
    log: bool = False,
    diagonal: bool = False,
    at: Sequence[float] | None = None,
    x_text: Callable[[float], str] = short,
    y_text: Callable[[float], str] = short,
) -> str:
    """Marks over axes, the first at the bottom, as SVG to be put inside HTML.

    Args:
        marks: what is drawn.
        size: pixels, to the right and down; a page may show it larger or smaller.
        x: both ends of the axis; default: what the marks need.
        y: the same of the other axis.
        log: is the scale of `x` logarithmic?
        diagonal: a dashed line where y = x.
        at: where `x` has numbers; default: at round ones.
        x_text: how these are written.
        y_text: the same of the other axis.
    """
    width, height = size
    right, bottom, most = width - RIGHT, height - BOTTOM, height // PER_STEP
    across, up = frame(
        size,
        x=x or extent([mark.x for mark in marks], spare=SPARE[0], log=log),
        y=y or extent([mark.y for mark in marks], spare=SPARE[1]),
        log=log,
    )
    parts = []
    for tick in up.ticks(most):
        place = pixel(up.at(tick))
        parts.append(f'<path d="M{LEFT} {place}H{right}" stroke="var(--line)" stroke-width=".8"/>')
        parts.append(text(LEFT - 4, up.at(tick) + 4, "end", y_text(tick)))
    parts.append(f'<path d="M{LEFT} {bottom}H{right}" stroke="var(--line)" stroke-width=".8"/>')
    for tick in across.ticks(most) if at is None else at:
        place = pixel(across.at(tick))
        parts.append(f'<path d="M{place} {bottom}v3.5" stroke="var(--line)" stroke-width=".8"/>')
        parts.append(text(across.at(tick), bottom + 15, "middle", x_text(tick)))
    if diagonal:
        ends = max(across.low, up.low), min(across.high, up.high)
        marks = [Mark(ends, ends, "soft", width=1, dashes="5 4"), *marks]
    drawn = "".join(shape for mark in marks for shape in shapes(mark, across, up))
    if any(axis.without(values) for mark in marks for axis, values in ((across, mark.x), (up, mark.y))):
        # What was given is less than what there is.  Drawings of one size share the name, and mean the same by it.
        name = f"axes-{width}-{height}"
        box = f'<rect x="{LEFT - 6}" y="{TOP - 6}" width="{right - LEFT + 12}" height="{bottom - TOP + 12}"/>'
        drawn = f'<clipPath id="{name}">{box}</clipPath><g clip-path="url(#{name})">{drawn}</g>'
    return f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(parts)}{drawn}</svg>'


def frame(
    size: tuple[int, int], *, x: tuple[float, float], y: tuple[float, float], log: bool = False
) -> tuple[Axis, Axis]:
    """The axes of a drawing, to the right and up, between these ends."""
    width, height = size
    return Axis(*apart(*x), LEFT, width - RIGHT, log=log), Axis(*apart(*y), height - BOTTOM, TOP)


def extent(
    values: Iterable[Sequence[float | None]], *, spare: float, log: bool = False
) -> tuple[float, float]:
    """Both ends of an axis on which these have room."""
    found = [value for each in values for value in each if value is not None and math.isfinite(value)] or [
        1.0
    ]
    low, high = apart(min(found), max(found))
    if log:
        room = (high / low) ** spare
        return low / room, high * room
    room = spare * (high - low)
    return low - room, high + room


def shapes(mark: Mark, across: Axis, up: Axis) -> Iterator[str]:
    """A mark as SVG."""
    look = f' opacity="{mark.opacity:g}"' if mark.opacity < 1 else ""
    pieces = list(unbroken(mark, across, up))
    if mark.width:
        dashes = f' stroke-dasharray="{mark.dashes}"' if mark.dashes else ""
        for piece in pieces:
            points = " ".join(f"{pixel(x)},{pixel(y)}" for x, y in piece)
            yield f'<polyline points="{points}" fill="none" stroke="var(--{mark.ink})" stroke-width="{mark.width:g}" stroke-linejoin="round"{dashes}{look}/>'
    if mark.dot:
        colour = f'"none" stroke="var(--{mark.ink})"' if mark.hollow else f'"var(--{mark.ink})"'
        for x, y in (place for piece in pieces for place in piece):
            yield f'<circle cx="{pixel(x)}" cy="{pixel(y)}" r="{mark.dot / 2:g}" fill={colour}{look}/>'


def unbroken(mark: Mark, across: Axis, up: Axis) -> Iterator[list[Place]]:
    """The points of a mark as pixels, in pieces between those that are missing."""
    piece: list[Place] = []
    for x, y in zip(mark.x, mark.y, strict=True):
        if x is not None and y is not None and not math.isnan(x + y):
            piece.append((across.at(x), up.at(y)))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def text(x: float, y: float, anchor: str, words: str) -> str:
    """A number beside an axis."""
    return f'<text x="{pixel(x)}" y="{pixel(y)}" text-anchor="{anchor}" fill="var(--soft)">{words}</text>'


def pixel(value: float) -> str:
    """A place to a tenth of a pixel: `12.3`, `12`."""
    return f"{value:.1f}".removesuffix(".0")
