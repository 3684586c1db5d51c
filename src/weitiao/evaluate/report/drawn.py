"""Sections as drawings: an SVG from a section's data alone.

{"kind": "curve", "lines": [{"x": [...], "y": [...], ...}], ...}  ->  curve(section)  ->  inline SVG

Colours are the variables of the page (`--tuned`, `--other`, `--untuned`, in the order of the lines); words are not in
it, for the page sets them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weitiao.evaluate.report.svg import Mark, spans, svg

SIZE = (520, 400)  # pixels
ORDER = ("tuned", "other", "untuned")
CROWD = 400
"""Of more points each is small."""


def curve(section: Mapping[str, Any], *, size: tuple[int, int] = SIZE) -> str:
    """Lines, clouds and intervals; of the lines those beyond `ORDER` are dashed.

    Args:
        section: as `results.json` holds a `curve`.
        size: pixels, to the right and down.
    """
    marks: list[Mark] = []
    for place, line in enumerate(section["lines"]):
        ink, few = ORDER[place % len(ORDER)], len(line["x"]) <= CROWD
        if line.get("low") and line.get("high"):
            marks += spans(line["x"], line["low"], line["high"], ink=ink)
        if line["joined"]:
            dashes = "6 2.6" if place >= len(ORDER) else ""
            dot = 0.0 if not few else 6.5 if size == SIZE else 3.0
            marks.append(Mark(line["x"], line["y"], ink, dot=dot, dashes=dashes))
        else:
            dot, opacity = (5.0, 0.5) if few else (3.0, 0.3)
            marks.append(Mark(line["x"], line["y"], ink, width=0, dot=dot, opacity=opacity))
    return svg(
        marks,
        size=size,
        x=section.get("x_range"),
        y=section.get("y_range"),
        diagonal=bool(section["diagonal"]),
    )
