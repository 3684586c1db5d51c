"""The page of a learning curve: the sentence, the curve, the points.

learning-curve.json  ->  curve_page(results)  ->  the HTML
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from weitiao.core.errors import language
from weitiao.core.page import render
from weitiao.evaluate.report import TEMPLATES
from weitiao.evaluate.report.numbers import number, seconds
from weitiao.evaluate.report.page import clip
from weitiao.evaluate.report.svg import INKS, svg
from weitiao.evaluate.words import words
from weitiao.study.page import LONGEST, first_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (520, 300)


def curve_page(results: Mapping[str, Any]) -> str:
    """The page, in the reader's language."""
    filters = {"number": number, "seconds": seconds, "clip": clip}
    return render(Path(__file__).parent, "curve.html.j2", view(results), filters=filters, parts=TEMPLATES)


def view(results: Mapping[str, Any]) -> dict[str, Any]:
    """Everything the template shows."""
    import yaml

    labels, metric = words(language()), results["metric"]
    return {
        "lang": language(),
        "w": labels,
        "name": lambda key: labels.get(key, key.replace("_", " ")),
        "results": results,
        "metric": labels.get(f"macro_{metric}", labels.get(metric, metric.replace("_", " "))),
        "points": [_shown(point) for point in results["points"]],
        "curve": drawing(results["points"]),
        "facts": results["facts"],
        "recipe_text": yaml.safe_dump(results["recipe"], allow_unicode=True, sort_keys=False),
        "longest": LONGEST,
    }


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


def _shown(point: Mapping[str, Any]) -> dict[str, Any]:
    failure = point["failure"] or {"message": ""}
    page = quote(f"{point['folder']}/report.html") if point["state"] == "judged" else ""
    return {**point, "page": page, "line": first_line(failure["message"])}
