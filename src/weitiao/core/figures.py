"""A metric of `results.json` in words, as terminals and sentences say it.

{"value": 0.8123, "low": 0.79, "high": 0.83}             ->  "0.812", "0.790-0.830"
{"value": None, ..., "why": "only one class"}            ->  "-", "only one class"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def figure(metric: Mapping[str, Any]) -> str:
    """The value with three digits; a dash where there is none."""
    return "-" if metric["value"] is None else f"{metric['value']:.3f}"


def around(metric: Mapping[str, Any]) -> str:
    """Its interval, or why there is none."""
    return metric.get("why", "") if metric["low"] is None else f"{metric['low']:.3f}-{metric['high']:.3f}"
