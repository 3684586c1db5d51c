"""The page of a learning curve: the sentence, the curve, the points.

learning-curve.json  ->  curve_page(results)  ->  the HTML
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weitiao.evaluate.report.svg import Mark, spans, svg
from weitiao.study.page import row_shown, study_page

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

    rows, scores = [rows for rows, _ in known], [score for _, score in known]
    values, low, high = ([score[key] for score in scores] for key in ("value", "low", "high"))
    marks = [*spans(rows, low, high, ink="tuned"), Mark(rows, values, "tuned", dot=8)]
    return svg(marks, size=SIZE, log=True, at=rows)
