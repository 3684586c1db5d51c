"""The judge by names of metrics, as the tests here ask it."""

from __future__ import annotations

from typing import Any

from weitiao.core import registry
from weitiao.core.contracts import Metric
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
