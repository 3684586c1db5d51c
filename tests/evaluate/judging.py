"""The judge by names of metrics, as the tests here ask it."""

from __future__ import annotations

from typing import Any

from weitiao.core import registry
from weitiao.core.contracts import Judged, Metric
from weitiao.core.contracts.section import Section
from weitiao.evaluate.judge import judge


def shelf(*names: str) -> dict[str, Metric]:
    """Metrics of the shelf by name."""
    return {name: registry.build("metric", {"name": name}) for name in names}


def judged(names: tuple[str, ...], references: Any, systems: Any, **options: Any) -> dict[str, Any]:
    """What `judge` says; the first name is the primary metric."""
    return judge(references, systems, shelf(*names), **{"labels": ("a", "b"), **options})


def paired(name: str, references: Any, ours: Any, others: Any, **options: Any) -> dict[str, Any]:
    """The comparison of two systems by one metric."""
    systems = {"tuned": ours, "other": others}
    found = judged((name,), references, systems, resamples=2, **options)["comparisons"]["other"]
    return {key: value for key, value in found.items() if key != "metrics"}


def section(name: str, rows: Any, told: Any, *, labels: Any = (), **judged: Any) -> Section | None:
    """What an analysis of the shelf makes of rows and what was said of them."""
    analysis = registry.build("section", {"name": name})
    return analysis.section(Judged(rows, {"tuned": told}, labels=labels, **judged))


def by_class(rows: Any, told: Any, labels: Any) -> dict[str, list[float]]:
    """Precision, recall, F1 and number of each class."""
    found = section("per_class", rows, told, labels=labels)
    return {row.name: row.values for row in found.rows}
