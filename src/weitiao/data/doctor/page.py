"""The diagnosis as a page that one can look at: one file, no network, light and dark.

Diagnosis  ->  write_page(diagnosis, "reviews.check.html")
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from weitiao.core.contracts import places
from weitiao.core.errors import language
from weitiao.core.files import write_text
from weitiao.core.page import render
from weitiao.data.doctor.finding import SEVERITIES, Diagnosis, percent, words

LABELS, EXAMPLES = 20, 25  # bars, and suspects, on the page


def write_page(diagnosis: Diagnosis, path: Path) -> Path:
    """Write the page, whole or not at all, over an older one.

    Raises:
        WeitiaoError: `no_permission`, `disk_full`.
    """
    write_text(path, page(diagnosis))
    return path


def page(diagnosis: Diagnosis) -> str:
    """The page's HTML, in the reader's language."""
    filters = {"number": number, "percent": percent, "lines": places}
    return render(Path(__file__).parent, "doctor.html.j2", view(diagnosis), filters=filters)


def headline(diagnosis: Diagnosis) -> str:
    """`2 to mend, 5 to look at, 3 to know`, or that nothing stands out."""
    counts = {name: sum(one.severity == name for one in diagnosis.findings) for name in SEVERITIES}
    if not diagnosis.findings:
        return words()["healthy"]
    return words()["headline"].format(
        faults=counts["fault"], warnings=counts["warning"], notes=counts["note"]
    )


def learnt(diagnosis: Diagnosis) -> str:
    """Which task learns from the rows, or that none does yet."""
    said = words()["task" if diagnosis.task else "no_task"]
    return said.format(task=diagnosis.task, shape=diagnosis.shape)


def view(diagnosis: Diagnosis) -> dict[str, Any]:
    """Everything the template shows; an absent table is empty here and its section vanishes."""
    tables = diagnosis.tables
    unused = tables.get("unused", {})
    labels = tables.get("labels", {})
    return {
        "lang": language(),
        "w": words(),
        "version": version("weitiao"),
        "diagnosis": diagnosis,
        "headline": headline(diagnosis),
        "learnt": learnt(diagnosis),
        "files": tables.get("files", []),
        "total": unused.get("total", diagnosis.rows),
        "counts": {name: count for name, count in (unused.get("counts") or {}).items() if count},
        "reasons": unused.get("reasons", {}),
        "labels": bars(labels.get("counts", {}), most=LABELS),
        "labels_more": labels.get("labels", 0) - min(len(labels.get("counts", {})), LABELS),
        "label_facts": labels,
        "tags": bars(tables.get("tags", {}), most=LABELS),
        "things": bars(tables.get("things", {}), most=LABELS),
        "columns": tables.get("characters", {}),
        "tokens": tables.get("tokens"),
        "histogram": columns(tables.get("histogram"), tables.get("tokens")),
        "scripts": bars(tables.get("scripts", {}), most=LABELS),
        "languages": bars(tables.get("languages", {}) | tables.get("han", {}), most=LABELS),
        "near": _seen(tables.get("near", {})),
        "wrong": tables.get("wrong_labels", {}),
        "examples": EXAMPLES,
    }


def _seen(near: dict[str, Any]) -> dict[str, Any]:
    """Groups of rows that are nearly alike, their pictures as the page holds them."""
    from weitiao.data.pictures.thumbnail import strip

    def copied(one: dict[str, Any]) -> dict[str, Any]:
        paths = one["pictures"]
        names = " ".join("/".join(Path(path).parts[-2:]) for path in paths)
        return {**one, "text": one["text"] or names, "picture": strip(paths) if paths else ""}

    groups = near.get("biggest", ())
    return {
        **near,
        "biggest": [{**group, "examples": [copied(one) for one in group["examples"]]} for group in groups],
    }


def bars(counts: dict[str, int], *, most: int) -> list[dict[str, Any]]:
    """Name, count, share of all and of the largest, for a list of bars."""
    top, total = max(counts.values(), default=1), sum(counts.values()) or 1
    shown = list(counts.items())[:most]
    return [{"name": name, "count": n, "share": n / total, "width": 100 * n / top} for name, n in shown]


def columns(histogram: dict[str, Any] | None, tokens: dict[str, Any] | None) -> dict[str, Any]:
    """Heights of the histogram's columns in per cent, and where the limit stands."""
    if not histogram:
        return {}
    counts, width = histogram["counts"], histogram["width"]
    top = max(counts, default=1)
    limit = (tokens or {}).get("limit") if histogram["unit"] == "tokens" else None
    at = 100 * limit / (width * len(counts)) if limit else None
    return {
        "unit": histogram["unit"],
        "end": width * (len(counts) - 1),
        "limit": limit,
        "at": at if at is not None and at <= 100 else None,
        "bars": [
            {
                "height": 100 * count / top,
                "count": count,
                "low": i * width,
                "high": "" if i == len(counts) - 1 and len(counts) > 1 else (i + 1) * width - 1,
                "over": bool(limit) and i * width >= (limit or 0),
            }
            for i, count in enumerate(counts)
        ],
    }


def number(value: float) -> str:
    """1234567 as 1,234,567; a fraction with one digit."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
