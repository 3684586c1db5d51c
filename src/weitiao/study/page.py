"""The page of a comparison: methods side by side, what they score and what they cost.

comparison.json  ->  view(results)  ->  what the template shows  ->  comparison_page(results)  ->  the HTML
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from weitiao.core.errors import language
from weitiao.core.page import render
from weitiao.evaluate.report import TEMPLATES
from weitiao.evaluate.report.intervals import intervals
from weitiao.evaluate.report.numbers import clip, number, p_value, seconds, share
from weitiao.evaluate.words import words
from weitiao.study.scatter import scatter

LONGEST = 160  # characters of a failure in the table; the section below has the whole of it


def comparison_page(results: Mapping[str, Any]) -> str:
    """The page, in the reader's language."""
    filters = {
        "number": number,
        "percent": percent,
        "p": p_value,
        "seconds": seconds,
        "clip": clip,
        "bytes": size,
        "breaks": breaks,
    }
    return render(
        Path(__file__).parent, "comparison.html.j2", view(results), filters=filters, parts=TEMPLATES
    )


def view(results: Mapping[str, Any]) -> dict[str, Any]:
    """Everything the template shows; a section whose data is absent is empty here and vanishes there."""
    import yaml

    labels, metric = words(language()), results["metric"]
    rows = [_shown(row) for row in results["methods"]]
    judged = [row for row in rows if row["state"] == "judged"]
    scores = {row["label"]: {metric: row["score"]} for row in judged}
    pairs = [row["beside_first"] for row in judged if row["beside_first"]]
    return {
        "lang": language(),
        "w": labels,
        "name": lambda key: labels.get(key, key.replace("_", " ")),
        "results": results,
        "metric": labels.get(f"macro_{metric}", labels.get(metric, metric.replace("_", " "))),
        "rows": rows,
        "judged": judged,
        "failed": [row for row in rows if row["state"] == "failed"],
        "waiting": [row for row in rows if row["state"] not in ("judged", "failed")],
        "pairs": pairs,
        "scores": scores,
        "forest": intervals(scores, metric) if scores else None,
        "scatter": scatter(judged, reference=results["reference"]),
        "facts": results["facts"],
        "recipe_text": yaml.safe_dump(results["recipe"], allow_unicode=True, sort_keys=False),
        "longest": LONGEST,
    }


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with what the template would have to compute."""
    failure = row["failure"] or {"message": ""}
    return {
        **row,
        "page": quote(f"{row['folder']}/report.html") if row["state"] == "judged" else "",
        "line": first_line(failure["message"]),
        "settings": [(key, value) for key, value in row["method"].items() if key != "name"],
    }


def first_line(message: str) -> str:
    """A failure in one line, as it stands in a table."""
    return next(iter(message.splitlines()), "")


def breaks(label: str) -> Markup:
    """A label that may go on in a further line behind its marks."""
    return Markup("<wbr>").join(re.findall(r"[^:,=]+[:,=]*|[:,=]+", label))


def percent(part: float, whole: float) -> str:
    """`part` of `whole`, with digits for the smallest of methods: 0.0034 %."""
    return share(part, whole) if part >= 1e-4 * whole else f"{100 * part / whole:.2g} %"


def size(value: float | None) -> str:
    """Bytes as people say them: 2.7 MB."""
    if value is None:
        return "–"
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} GB" if value < 1000 else f"{value:,.0f} GB"
