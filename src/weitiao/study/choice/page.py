"""The page of a choice: what to begin with and why, models side by side, what each method would take.

results  ->  choice_page(results)  ->  the HTML
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from weitiao.core import worded
from weitiao.core.errors import language
from weitiao.evaluate.report.intervals import intervals
from weitiao.evaluate.report.numbers import size
from weitiao.evaluate.words import words
from weitiao.study.page import study_page


def choice_page(results: Mapping[str, Any]) -> str:
    """The page, in the reader's language."""
    metric, labels = results["metric"], words(language()) | worded.words("weitiao.study.choice", language())
    systems = {one["model"]: one["score"] for one in results["models"] if one.get("score")}
    systems |= {name: one["score"] for name, one in results["baselines"].items()}
    scores = {
        name: {metric: {**score, "value": score["mean"]}}
        for name, score in systems.items()
        if score["mean"] is not None
    }
    return study_page(
        "choice.html.j2",
        results,
        filters={
            "bytes": size,
            "coded": coded,
            "share": lambda part: f"{100 * part:.0f} %" if part is not None else "–",
        },
        w=labels,
        scores=scores,
        forest=intervals(scores, metric) if scores else None,
        models=[one for one in results["models"] if one["state"] == "asked"],
        failed=[one for one in results["models"] if one["state"] != "asked"],
    )


def coded(text: str) -> Markup:
    """What stands between backticks, as code; everything is escaped."""
    parts = re.split(r"`([^`]+)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    )
