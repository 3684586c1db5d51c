"""The page of a cross-validation: what the folds say together, each of them, and all rows.

cv.json  ->  folds_page(results)  ->  the HTML
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weitiao.evaluate.report.intervals import intervals
from weitiao.study.folds_table import verdict
from weitiao.study.page import row_shown, study_page


def folds_page(results: Mapping[str, Any]) -> str:
    """The page, in the reader's language."""
    metric, rows = results["metric"], [row_shown(row) for row in results["folds"]]
    scores = {row["label"]: {metric: row["score"]} for row in rows if row["state"] == "judged"}
    for system, own in results["metrics"].items():
        scores[system] = {metric: {**own[metric], "value": own[metric]["mean"]}}
    return study_page(
        "cv.html.j2",
        results,
        metrics=list(results["metrics"].get("tuned", ())),
        others=list(results["comparisons"]),
        rows=rows,
        failed=[row for row in rows if row["state"] == "failed"],
        waiting=[row for row in rows if row["state"] not in ("judged", "failed")],
        scores=scores,
        forest=intervals(scores, metric) if scores else None,
        verdict=lambda pair, name: verdict(results, pair, name),
    )
