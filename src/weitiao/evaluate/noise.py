"""The noise floor: how far a score moves with the seed alone.

    {42: 0.81, 43: 0.84, 44: 0.80}  ->  floor(scores, metric="f1")  ->  {"sd": 0.021, "low": 0.80, "high": 0.84, ...}
    standing(results, "untuned", ...)  ->  "above" | "level" | "nominal" | "below" | ""

One run more, with another seed, would land within `reach` with the confidence that was asked for (the prediction interval
of a normal sample: mean +- t_(n-1) s sqrt(1 + 1/n)).  What another system scores within it is no proven difference, however
sure the rows are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def floor(scores: Mapping[int, float], *, metric: str, confidence: float) -> dict[str, Any] | None:
    """What runs of one recipe on one split tell; None where there is but one.

    Args:
        scores: seed -> value of the metric on the test rows.
        metric: its name.
        confidence: of `reach`.
    """
    from scipy import stats

    count = len(scores)
    if count < 2:
        return None
    values = np.array([*scores.values()])
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    far = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * sd * math.sqrt(1 + 1 / count)
    return {
        "metric": metric,
        "runs": count,
        "seeds": [*scores],
        "scores": values.tolist(),
        "mean": mean,
        "sd": sd,
        "low": float(values.min()),
        "high": float(values.max()),
        "reach": {"low": mean - far, "high": mean + far},
    }


def standing(results: Mapping[str, Any], other: str, *, confidence: float) -> str:
    """How the tuned model stands to another system by the primary metric.

    `above` and `below` are beyond chance, by the rows and, where it was measured, by the seed; else it is `nominal` where the
    other is ahead and `level` where it is not; empty where one of the two has no value.
    """
    name, beside = results["primary"], results["comparisons"].get(other)
    values = [results["metrics"].get(one, {}).get(name, {}).get("value") for one in ("tuned", other)]
    if not beside or None in values or beside["p_value"] is None:
        return ""
    sign = 1 if results["higher_is_better"] else -1
    ahead = sign * (values[0] - values[1])
    if ahead and beside["p_value"] < 1 - confidence and not within(results, values[1]):
        return "above" if ahead > 0 else "below"
    return "nominal" if ahead < 0 else "level"


def within(results: Mapping[str, Any], value: float) -> bool:
    """Might another seed have scored that much?  False where that was not measured."""
    noise = results.get("noise")
    return noise is not None and noise["reach"]["low"] <= value <= noise["reach"]["high"]
