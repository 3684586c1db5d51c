"""Score against trained parameters: a dot and its interval for every method, its name beside it.

judged rows of a comparison  ->  scatter(rows, reference="full")  ->  inline SVG

Names are put in afterwards, and no font is asked for their letters: each goes where, by a rough width, it covers
nothing.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weitiao.evaluate.report.svg import Mark, frame, level, spans, svg

SIZE = (520, 300)
LETTER, LINE = 6.6, 13  # pixels: mean width of a letter at 12 px, and the height of a line
DOT = 5  # pixels from its middle
LONGEST = 24  # letters of a name


@dataclass(frozen=True)
class Box:
    """Something that takes room, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def hits(self, other: Box) -> bool:
        """Do the two overlap?"""
        apart = self.right < other.left or other.right < self.left
        return not (apart or self.bottom < other.top or other.bottom < self.top)


def scatter(rows: Sequence[Mapping[str, Any]], *, reference: str | None) -> str:
    """The drawing; empty where there is nothing to set side by side."""
    points = [
        (row["label"], row["trained"], *(row["score"][key] for key in ("value", "low", "high")))
        for row in rows
        if row["trained"] and None not in (row["score"]["low"], row["score"]["value"])
    ]
    if len(points) < 2 or not all(math.isfinite(number) for _, *numbers in points for number in numbers):
        return ""
    exponents = [math.log10(trained) for _, trained, *_ in points]
    left, right = math.floor(min(exponents) - 0.1), math.ceil(max(exponents) + 0.1)
    lowest, highest = min(low for *_, low, _ in points), max(high for *_, high in points)
    spare = 0.08 * (highest - lowest) or 0.1
    bottom, top = lowest - spare, highest + spare
    aim = next((value for label, _, value, *_ in points if label == reference), None)
    _, trained, values, low, high = map(list, zip(*points, strict=True))
    marks = [] if aim is None else [level(aim, ink="soft")]
    marks += [*spans(trained, low, high, ink="tuned"), Mark(trained, values, "tuned", width=0, dot=9)]
    x, y = (10.0**left, 10.0**right), (bottom, top)
    across, up = frame(SIZE, x=x, y=y, log=True)
    decades = [10.0**exponent for exponent in range(left, right + 1)]
    drawing = svg(marks, size=SIZE, x=x, y=y, log=True, at=decades, x_text=short)
    places = [(label, across.at(trained), up.at(value)) for label, trained, value, *_ in points]
    return drawing.replace("</svg>", f"{named(places)}</svg>")


def named(places: Sequence[tuple[str, float, float]]) -> str:
    """The names, each to the right of its dot, else to the left, else a little higher or lower."""
    from markupsafe import escape

    taken = [Box(x - DOT, y - DOT, x + DOT, y + DOT) for _, x, y in places]
    found = []
    for label, x, y in sorted(places, key=lambda place: place[1]):
        text = label if len(label) <= LONGEST else label[: LONGEST - 1] + "…"
        width = LETTER * sum(1.8 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
        choices = []
        for shift in (0, -LINE, LINE, -2 * LINE, 2 * LINE):
            middle = y + shift
            for start in (x + 9, x - 9 - width):
                box = Box(start, middle - LINE / 2, start + width, middle + LINE / 2)
                if start >= 2 and start + width <= SIZE[0] and LINE < middle < SIZE[1] - 30:
                    choices.append(box)
        free = (box for box in choices if not any(box.hits(other) for other in taken))
        box = next(free, choices[0] if choices else Box(2, y - LINE / 2, width, y + LINE / 2))
        taken.append(box)
        anchor, start = ("start", box.left) if box.left > x else ("end", box.right)
        found.append(
            f'<text class="name" x="{start:.1f}" y="{box.bottom - 3:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
        )
    return "".join(found)


def short(value: float) -> str:
    """A power of ten as people say it: 100, 10k, 1M."""
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"
