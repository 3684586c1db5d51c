"""Sections as drawings: an SVG from a section's data alone.

{"kind": "curve", "lines": [{"x": [...], "y": [...], ...}], ...}  ->  curve(section)  ->  inline SVG

Colours are the variables of the page (`--tuned`, `--other`, `--untuned`, in the order of the lines); words are not in
it, for the page sets them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from weitiao.evaluate.report.numbers import number
from weitiao.evaluate.report.svg import INKS, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (520, 400)  # pixels
ORDER = ("tuned", "other", "untuned")
CROWD = 400
"""Of more points each is small."""


def curve(section: Mapping[str, Any]) -> str:
    """Lines, clouds and intervals.

    Args:
        section: as `results.json` holds a `curve`.
    """

    return svg(lambda axes: lines(axes, section, INKS), size=SIZE, salt="curve")


def lines(axes: Axes, section: Mapping[str, Any], inks: Mapping[str, str]) -> None:
    """The same onto any axes.

    Args:
        axes: of matplotlib.
        section: a `curve`.
        inks: `soft`, and those of `ORDER`; lines beyond them are dashed.
    """
    if section.get("x_range"):
        axes.set_xlim(*section["x_range"])
    if section.get("y_range"):
        axes.set_ylim(*section["y_range"])
    if section["diagonal"]:
        axes.axline((0, 0), slope=1, color=inks["soft"], linewidth=1, linestyle=(0, (5, 4)))
    axes.xaxis.set_major_formatter(lambda value, _: short(value))
    axes.yaxis.set_major_formatter(lambda value, _: short(value))
    for place, line in enumerate(section["lines"]):
        ink, dashed = inks[ORDER[place % len(ORDER)]], place >= len(ORDER)
        x, y = line["x"], line["y"]
        if line.get("low") and line.get("high"):
            axes.vlines(x, line["low"], line["high"], color=ink, alpha=0.35, linewidth=1.6)
        few = len(x) <= CROWD
        if line["joined"]:
            look: dict[str, Any] = {
                "marker": "o",
                "markersize": 5.5 if few else 0,
                "linewidth": 1.6,
                "linestyle": "--" if dashed else "-",
            }
        else:
            look = {
                "marker": "o",
                "linestyle": "",
                "alpha": 0.5 if few else 0.3,
                "markersize": 5 if few else 3,
                "markeredgewidth": 0,
            }
        axes.plot(x, y, color=ink, label=f"line {place}", **look)


def short(value: float) -> str:
    """A tick: `0.2`, `1,250`."""
    return number(int(value)) if float(value).is_integer() else f"{value:g}"
