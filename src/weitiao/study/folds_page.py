"""The page of a cross-validation: what the folds say together, each of them, and all rows.

cv.json  ->  view(results)  ->  what the template shows  ->  folds_page(results)  ->  the HTML
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from weitiao.core.errors import language
from weitiao.core.page import render
from weitiao.evaluate.report import TEMPLATES
from weitiao.evaluate.report.intervals import intervals
from weitiao.evaluate.report.page import clip, number, p_value, seconds
from weitiao.evaluate.words import words
from weitiao.study.folds_table import verdict
from weitiao.study.page import LONGEST, first_line


def folds_page(results: Mapping[str, Any]) -> str:
    """The page, in the reader's language."""
    filters = {"number": number, "p": p_value, "seconds": seconds, "clip": clip}
    return render(Path(__file__).parent, "cv.html.j2", view(results), filters=filters, parts=TEMPLATES)


def view(results: Mapping[str, Any]) -> dict[str, Any]:
    """Everything the template shows; a section whose data is absent is empty here and vanishes there."""
    import yaml

    labels, metric = words(language()), results["metric"]
    rows = [_shown(row) for row in results["folds"]]
    scores = {row["label"]: {metric: row["score"]} for row in rows if row["state"] == "judged"}
    for system, own in results["metrics"].items():
        scores[system] = {metric: {**own[metric], "value": own[metric]["mean"]}}
    return {
        "lang": language(),
        "w": labels,
        "name": lambda key: labels.get(key, key.replace("_", " ")),
        "results": results,
        "metric": labels.get(f"macro_{metric}", labels.get(metric, metric.replace("_", " "))),
        "metrics": list(results["metrics"].get("tuned", ())),
        "others": list(results["comparisons"]),
        "rows": rows,
        "failed": [row for row in rows if row["state"] == "failed"],
        "waiting": [row for row in rows if row["state"] not in ("judged", "failed")],
        "scores": scores,
        "forest": intervals(scores, metric) if scores else None,
        "verdict": lambda pair, name: verdict(results, pair, name),
        "facts": results["facts"],
        "recipe_text": yaml.safe_dump(results["recipe"], allow_unicode=True, sort_keys=False),
        "longest": LONGEST,
    }


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    failure = row["failure"] or {"message": ""}
    page = quote(f"{row['folder']}/report.html") if row["state"] == "judged" else ""
    return {**row, "page": page, "line": first_line(failure["message"])}
