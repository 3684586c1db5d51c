"""The same rows before and after they are changed: what that does to a metric, and how many answers it turns round.

gain(metric, before, after, ...)      ->  {"before": 0.91, "after": 0.84, "difference": -0.07, "low": ..., "p_value": ...}
shares({"swapped": [True, ...]}, ...) ->  each share with its interval, and the paired test of their difference
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Metric, Summed, Told
from weitiao.evaluate import judge, paired, resample
from weitiao.evaluate.arrays import ratio


class _OfHits(Summed):
    needs: ClassVar[tuple[str, ...]] = ("hit",)
    source: ClassVar[str] = "a mean"

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """What each row says, and 1: (N, 2)."""
        hits = np.array([float(one["hit"]) for one in predictions])
        return np.stack([hits, np.ones(len(hits))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])


@dataclass(frozen=True)
class Share(_OfHits):
    """The share of rows with a hit."""

    summary: ClassVar[str] = "share of rows with a hit"
    proportion: ClassVar[bool] = True


@dataclass(frozen=True)
class Mean(_OfHits):
    """The mean of a number of each row."""

    summary: ClassVar[str] = "mean of a number of each row"


@dataclass(frozen=True)
class Drawing:
    """How intervals are drawn."""

    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 0


def gain(
    metric: Metric, before_NK: Any, after_NK: Any, groups: Sequence[int] | None, drawing: Drawing
) -> dict[str, Any]:
    """The metric before and after, the difference with its interval, and the paired test of it.

    Args:
        metric: whose rows they are.
        before_NK: what each row told.
        after_NK: what it tells now.
        groups: which group each row is of; None: each is its own.
        drawing: of the interval and the test.

    Returns:
        `before`, `after`, `difference` (after less before), `low`, `high`, `p_value`, `test`; None where there is none.
    """
    unit_N, count = resample.units(groups, len(before_NK))
    sides = {"before": before_NK, "after": after_NK}
    values = {side: _finite(judge.value(metric, rows)) for side, rows in sides.items()}
    found = paired.tests({"m": (metric, after_NK, before_NK)}, unit_N, count, seed=drawing.seed)["m"]
    around = difference_interval(metric, before_NK, after_NK, unit_N, count, drawing)
    low, high = around if around and found["difference"] is not None else (None, None)
    kept = {key: found[key] for key in ("difference", "p_value", "test")}
    return {**values, **kept, "low": low, "high": high}


def difference_interval(
    metric: Metric, before_NK: Any, after_NK: Any, unit_N: Any, count: int, drawing: Drawing
) -> tuple[float, float] | None:
    """Between what after less before lies; None where rows tell nothing of others (one unit, or no difference anywhere)."""
    if count < 2 or metric.no_interval:
        return None
    both = {"before": (metric, before_NK), "after": (metric, after_NK)}
    drawn = resample.bootstrap(both, unit_N, count, resamples=drawing.resamples, seed=drawing.seed)
    around = resample.interval(drawn["after"] - drawn["before"], drawing.confidence, count=count)
    return None if around is None or math.isclose(*around, rel_tol=1e-12, abs_tol=1e-12) else around


def shares(
    hits: Mapping[str, Sequence[float]],
    groups: Sequence[int] | None,
    drawing: Drawing,
    *,
    metric: Summed | None = None,
) -> dict[str, dict[str, Any]]:
    """The share of rows with a hit, by name: `value`, `low`, `high`.

    Args:
        hits: by name of each row whether it is one.
        groups: which group each row is of; None: each is its own.
        drawing: of the intervals.
        metric: `Mean()` where hits are numbers.
    """
    told = {
        name: np.stack([np.asarray(each, float), np.ones(len(each))], axis=1) for name, each in hits.items()
    }
    words: dict[str, Any] = {"confidence": drawing.confidence, "seed": drawing.seed}
    return {
        name: judge.around(metric or Share(), rows, groups, resamples=drawing.resamples, **words)
        for name, rows in told.items()
    }


def outcome(prediction: Mapping[str, Any]) -> Any:
    """What a prediction comes down to, so that two can be told apart; None where it names no class."""
    if "tags" in prediction:
        return tuple(prediction["tags"])
    if "labels" in prediction:
        return tuple(sorted(prediction["labels"]))
    return prediction.get("label")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
