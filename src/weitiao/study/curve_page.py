"""The page of a learning curve: the sentence, the curve, the points.

learning-curve.json  ->  curve_page(results)  ->  the HTML
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from weitiao.evaluate.report.svg import INKS, svg
from weitiao.study.page import row_shown, study_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (520, 300)


def curve_page(results: Mapping[str, Any]) -> str:
    """The page, in the reader's language."""
    points = [row_shown(point) for point in results["points"]]
    return study_page("curve.html.j2", results, points=points, curve=drawing(points))


def drawing(points: Sequence[Mapping[str, Any]]) -> str:
    """Score by training rows, these on a logarithmic scale; empty where there are no two points."""
    known = [
        (point["rows"], point["validation"])
        for point in points
        if point["validation"] and point["validation"]["value"] is not None
    ]
    if len(known) < 2:
        return ""

    def draw(axes: Axes) -> None:
        axes.set_xscale("log", base=2)
        axes.set_xticks([rows for rows, _ in known])
        axes.xaxis.set_major_formatter(lambda rows, _: f"{rows:,.0f}")
        axes.minorticks_off()
        for rows, score in known:
            if score["low"] is not None:
                span = [score["low"], score["high"]]
                axes.plot([rows, rows], span, color=INKS["tuned"], alpha=0.35, linewidth=1.6)
        values = [score["value"] for _, score in known]
        axes.plot([rows for rows, _ in known], values, "o-", color=INKS["tuned"], markersize=7, linewidth=1.6)

    return svg(draw, size=SIZE, salt="learning curve")
