"""What the pages of all studies share: a comparison's, a cross-validation's, a learning curve's.

study_page("cv.html.j2", results, rows=..., forest=...)  ->  the HTML
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from weitiao.core.errors import language
from weitiao.core.page import render
from weitiao.evaluate.report import TEMPLATES
from weitiao.evaluate.report.numbers import clip, number, p_value, seconds
from weitiao.evaluate.words import words

LONGEST = 160  # characters of a failure in the table; the section below has the whole of it
FILTERS = {"number": number, "p": p_value, "seconds": seconds, "clip": clip}


def study_page(
    template: str, results: Mapping[str, Any], *, filters: Mapping[str, Any] | None = None, **shown: Any
) -> str:
    """A study's page, in the reader's language.

    Args:
        template: beside this file.
        results: the study's JSON.
        filters: of the template's own.
        shown: what the template shows besides; a section whose data is absent is empty here and vanishes there.
    """
    import yaml

    labels, metric = words(language()), results["metric"]

    def over_classes(name: str) -> str:
        return labels.get(f"macro_{name}", labels.get(name, name.replace("_", " ")))

    content = {
        "lang": language(),
        "w": labels,
        "name": lambda key: labels.get(key, key.replace("_", " ")),
        "results": results,
        "over_classes": over_classes,
        "metric": over_classes(metric),
        "facts": results["facts"],
        "recipe_text": yaml.safe_dump(results["recipe"], allow_unicode=True, sort_keys=False),
        "longest": LONGEST,
        **shown,
    }
    return render(
        Path(__file__).parent, template, content, filters=FILTERS | dict(filters or {}), parts=TEMPLATES
    )


def row_shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A run of a study with what the template would have to compute: where its page is, its failure in one line."""
    failure = row["failure"] or {"message": ""}
    page = quote(f"{row['folder']}/report.html") if row["state"] == "judged" else ""
    return {**row, "page": page, "line": next(iter(failure["message"].splitlines()), "")}
