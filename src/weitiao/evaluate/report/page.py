"""Read a run folder, decide what there is to show, and set it.

    run folder (recipe.yaml, facts.json, log.jsonl, data/ledger.json, results.json, predictions.jsonl)
        ->  view(folder)  ->  what the template shows, absent sections empty
        ->  write_report(folder)  ->  report.html

Only results.json is required: a report says what was found, and a run without results has found nothing.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from weitiao.core.errors import language
from weitiao.core.files import read_lines, write_text
from weitiao.core.page import render
from weitiao.evaluate.report.charts import curves, small
from weitiao.evaluate.report.intervals import intervals
from weitiao.evaluate.verdict import remarks
from weitiao.evaluate.words import words

ROWS_SHOWN = 50  # of the rows that were not kept
ERRORS_SHOWN = 20
ERRORS_LOOKED_AT = 400  # among which copies are looked for
TRAIN_SHOWN = (
    "optim",
    "learning_rate",
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "early_stopping_patience",
    "bf16",
)

# What may be absent from a file that is there.
RESULTS: dict[str, Any] = {
    **dict.fromkeys(("confusion", "trainable")),
    **{"comparisons": {}, "per_class": [], "samples": [], "seconds": {}, "usage": []},
}
FACTS: dict[str, Any] = {"created": "", "seed": None, "machine": {}, "versions": {}, "fingerprints": {}}
LEDGER: dict[str, Any] = {"files": [], "counts": {}, "rows": [], "labels": {}, "split": {}, "tokens": None}


def write_report(folder: Path) -> Path:
    """Write `report.html` of the finished run in `folder`, whole or not at all, and return its path."""
    filters = {"number": number, "share": share, "p": p_value, "seconds": seconds, "clip": clip}
    text = render(Path(__file__).parent, "page.html.j2", view(folder), filters=filters)
    write_text(folder / "report.html", text)
    return folder / "report.html"


def view(folder: Path) -> dict[str, Any]:
    """Everything the template shows; a section whose data is absent is empty here and vanishes there."""
    import yaml

    results = RESULTS | json.loads((folder / "results.json").read_text(encoding="utf-8"))
    facts = one(folder / "facts.json", blank=FACTS)
    ledger = one(folder / "data" / "ledger.json", blank=LEDGER)
    recipe_file = folder / "recipe.yaml"
    recipe_text = recipe_file.read_text(encoding="utf-8") if recipe_file.is_file() else ""
    recipe = yaml.safe_load(recipe_text) or {}
    metrics = {
        name: {key: span(value) for key, value in row.items()} for name, row in results["metrics"].items()
    }
    labels = words(language())
    return {
        "lang": language(),
        "w": labels,
        "name": lambda key: labels.get(key, key.replace("_", " ")),
        "over_classes": lambda key: labels.get(f"macro_{key}", labels.get(key, key.replace("_", " "))),
        "confidence": (recipe.get("evaluate") or {}).get("confidence"),
        "results": results,
        "metrics": metrics,
        "remarks": remarks(results),
        "forest": intervals(metrics, results["primary"]),
        "charts": curves(read_lines(folder / "log.jsonl"), results["primary"]),
        "recipe_text": recipe_text,
        "settings": settings(recipe),
        "facts": facts,
        "ledger": ledger,
        "lost": [row for row in ledger.get("rows", ()) if row["status"] != "kept"],
        "rows_shown": ROWS_SHOWN,
        "confused": confused(results["confusion"]),
        "errors": (wrong := errors(read_lines(folder / "predictions.jsonl"))),
        "worst": apart(wrong),
    }


def one(file: Path, *, blank: dict[str, Any]) -> dict[str, Any]:
    """The object in a JSON file over its blank form; empty when there is no file."""
    return blank | json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def span(value: Any) -> dict[str, float | None]:
    """A metric as {value, low, high}, also when it was given as a bare number."""
    return {"value": None, "low": None, "high": None} | (
        value if isinstance(value, dict) else {"value": value}
    )


def settings(recipe: dict[str, Any]) -> list[tuple[str, Any]]:
    """The settings worth a glance, under the names they have in the recipe."""
    method = recipe.get("method")
    train = recipe.get("train") or {}
    chosen = list(method.items()) if isinstance(method, dict) else []
    chosen = [pair for pair in chosen if pair[0] != "name"]
    chosen += [(name, train[name]) for name in TRAIN_SHOWN if name in train]
    chosen += [("seed", recipe["seed"])] if "seed" in recipe else []
    return [
        (name, ", ".join(map(str, value)) if isinstance(value, list) else value)
        for name, value in chosen
        if value is not None and not isinstance(value, dict)
    ]


def errors(predictions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows whose predicted label is wrong, most confident first; none where rows have no label."""
    wrong = [row for row in predictions if "label" in row and row["tuned"]["label"] != row["label"]]
    return sorted(wrong, key=lambda row: -row["tuned"]["score"])


def apart(wrong: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first of them, each but once: near copies with one mistake are one row, `times` says how many they are."""
    from weitiao.data.near import near_groups

    first = wrong[:ERRORS_LOOKED_AT]
    like = (
        near_groups([row.get("text", "") for row in first]).tolist() if len(first) > 1 else [0] * len(first)
    )
    found: dict[tuple[int, str, str], dict[str, Any]] = {}
    for group, row in zip(like, first, strict=True):
        one = found.setdefault((group, row["label"], row["tuned"]["label"]), row | {"times": 0})
        one["times"] += 1
    return list(found.values())[:ERRORS_SHOWN]


def confused(confusion: dict[str, Any] | None) -> list[tuple[str, str, int]]:
    """The three pairs (true, predicted, rows) that are mistaken most often."""
    if not confusion:
        return []
    pairs = [
        (true, predicted, count)
        for i, (true, row) in enumerate(zip(confusion["labels"], confusion["matrix"], strict=True))
        for j, (predicted, count) in enumerate(zip(confusion["labels"], row, strict=True))
        if i != j and count
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:3]


def number(value: Any, *, sign: bool = False) -> str:
    """A number as the page prints it: 0.872, 12.34, 1,376; a dash when there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞" if value > 0 else "−∞"
    size = abs(value)
    if isinstance(value, int) or size >= 1000:
        text = f"{size:,.0f}"
    elif 0 < size < 0.0005:
        text = small(size)
    else:
        text = f"{size:.{4 if 0 < size < 0.01 else 3 if size < 10 else 2 if size < 100 else 1}f}"
    return ("−" if value < 0 else "+" if sign else "") + text


def share(part: float, whole: float) -> str:
    """`part` of `whole` in percent, with as many digits as a small share needs."""
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.{2 if percent < 1 else 1}f} %" if percent else "0 %"


def p_value(value: float | None) -> str:
    """A p-value with its sign; below a thousandth the digits mean nothing."""
    return "–" if value is None else "<\u00a00.001" if value < 0.001 else f"=\u00a0{value:.3f}"


def seconds(value: float) -> str:
    """150.2 as `2 min 30 s`."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def clip(text: str, most: int) -> str:
    """The beginning of a long row, at most that many characters; predictions.jsonl has the whole of it."""
    return text if len(text) <= most else text[:most].rstrip() + " …"
