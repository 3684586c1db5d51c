"""The page of a comparison: methods side by side, what they score and what they cost.

comparison.json  ->  comparison_page(results)  ->  the HTML
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from weitiao.evaluate.report.intervals import intervals
from weitiao.evaluate.report.numbers import share, size
from weitiao.study.page import row_shown, study_page
from weitiao.study.scatter import scatter


def comparison_page(results: Mapping[str, Any]) -> str:
    """The page, in the reader's language."""
    metric, rows = results["metric"], [_shown(row) for row in results["methods"]]
    judged = [row for row in rows if row["state"] == "judged"]
    scores = {row["label"]: {metric: row["score"]} for row in judged}
    return study_page(
        "comparison.html.j2",
        results,
        filters={"percent": percent, "bytes": size, "breaks": breaks},
        rows=rows,
        judged=judged,
        failed=[row for row in rows if row["state"] == "failed"],
        waiting=[row for row in rows if row["state"] not in ("judged", "failed")],
        pairs=[row["beside_first"] for row in judged if row["beside_first"]],
        scores=scores,
        forest=intervals(scores, metric) if scores else None,
        scatter=scatter(judged, reference=results["reference"]),
    )


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    settings = [(key, value) for key, value in row["method"].items() if key != "name"]
    return row_shown(row) | {"settings": settings}


def breaks(label: str) -> Markup:
    """A label that may go on in a further line behind its marks."""
    return Markup("<wbr>").join(re.findall(r"[^:,=]+[:,=]*|[:,=]+", label))


def percent(part: float, whole: float) -> str:
    """`part` of `whole`, with digits for the smallest of methods: 0.0034 %."""
    return share(part, whole) if part >= 1e-4 * whole else f"{100 * part / whole:.2g} %"
