"""Intervals of metrics that end on one side alone: losses, errors of numbers, the share of variance explained.

    metrics, their rows, units       ->  pivots(...)    ->  of every draw how far it lies off, in its own standard errors
    a metric, its rows, its pivots   ->  interval(...)  ->  (0.51, 0.74)

A miss may come that is larger than any that was seen, so percentiles of what was drawn end too soon: a draw that lacks the
large misses does not know how little it knows.  So draws are asked for their standard errors too (bootstrap-t, Efron 1982,
The Jackknife, section 10.10), on a scale on which the distance from the end is multiplied, not added to (its logarithm);
and no end is nearer than Student's t puts it.

    z = log |value - end|    t_r = (z_r - z) / se_r    z - se max(q_97.5(t), t_v) ... z + se max(-q_2.5(t), t_v)

se is the jackknife's (Tukey 1958), se_r the delta method's, v what `resample.freedom_of` says of z.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from weitiao.core.contracts import Metric, Summed
from weitiao.evaluate import resample

WIDEST = 16
"""Sums a row up to which it is done: their products, pair by pair, are summed in every draw."""
STEP = 1e-4
"""Of the largest unit, for slopes."""
FEWEST = 8
"""Units from which the pivots' quantiles are taken; those of fewer are chance."""


def suits(metric: Metric, rows_NK: Any) -> TypeGuard[Summed]:
    """Is it a function of few sums that ends on one side alone?"""
    ends = sum(map(math.isfinite, metric.bounds))
    return isinstance(metric, Summed) and ends == 1 and rows_NK.shape[1] <= WIDEST


def pivots(
    asked: Mapping[str, tuple[Summed, Any]], unit_N: Any, count: int, *, resamples: int, seed: int
) -> dict[str, Any]:
    """Of every draw (R,) how far it lies off in its own standard errors, by name; nan where that is not defined.

    Args:
        asked: by name, a metric and the rows (N, K) that it gave.
        unit_N: unit of each row.
        count: how many units there are, at least two.
        resamples: draws.
        seed: of the draws.
    """
    units = {
        name: _Units.of(metric, resample.sums(rows, unit_N, count)) for name, (metric, rows) in asked.items()
    }
    found: dict[str, list[Any]] = {name: [] for name in asked}
    for weights_RU in resample.draws(count, resamples, seed=seed):
        for name, one in units.items():
            found[name].append(one.pivots(weights_RU))
    return {name: np.concatenate(each) for name, each in found.items()}


def interval(
    metric: Summed, rows_NK: Any, unit_N: Any, count: int, pivots_R: Any, confidence: float
) -> tuple[float, float] | None:
    """The interval; None where the metric is at its end, or too few draws tell how far they lie off.

    Args:
        metric: what is asked.
        rows_NK: what each row tells.
        unit_N: unit of each row.
        count: how many units there are, at least two.
        pivots_R: of `pivots`.
        confidence: coverage that is asked for.
    """
    from scipy import stats

    sums_UK, scale = resample.sums(rows_NK, unit_N, count), _Scale.of(metric)
    total_K = sums_UK.sum(0)
    value, without_U = scale.to(metric.value(total_K)), scale.to(metric.value(total_K - sums_UK))
    known_R = pivots_R[np.isfinite(pivots_R)]
    if not math.isfinite(value) or not np.isfinite(without_U).all():
        return None
    error = math.sqrt((count - 1) / count * ((without_U - without_U.mean()) ** 2).sum())
    tail = (1 - confidence) / 2
    below = above = float(stats.t.isf(tail, resample.freedom_of(without_U, count)))
    if count >= FEWEST:
        if len(known_R) < resample.DEFINED * len(pivots_R):
            return None
        low, high = np.percentile(known_R, [100 * tail, 100 - 100 * tail], method="weibull")
        below, above = max(below, float(high)), max(above, -float(low))
    ends = sorted(scale.back(z) for z in (value - below * error, value + above * error))
    return (ends[0], ends[1]) if np.isfinite(ends).all() else None


@dataclass(frozen=True)
class _Scale:
    """The logarithm of the distance from the one end."""

    end: float
    side: int
    """1 where values lie above it, -1 below."""

    @classmethod
    def of(cls, metric: Metric) -> _Scale:
        low, high = metric.bounds
        return cls(low, 1) if math.isfinite(low) else cls(high, -1)

    def to(self, values: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(self.side * (np.asarray(values, dtype=float) - self.end))

    def back(self, z: float) -> float:
        with np.errstate(over="ignore"):
            return float(self.end + self.side * np.exp(z))


@dataclass(frozen=True)
class _Units:
    """What is drawn from."""

    metric: Summed
    scale: _Scale
    sums_UK: Any
    size_K: Any
    """Of the sums, so that no square of one overflows."""
    products_UL: Any
    """Of every pair of the centred sums, in their sizes; L = K * K."""

    @classmethod
    def of(cls, metric: Summed, sums_UK: Any) -> _Units:
        most_K = np.abs(sums_UK).max(0)
        size_K = np.where(most_K > 0, most_K, 1.0)
        centred_UK = (sums_UK - sums_UK.mean(0)) / size_K
        products_UKK = centred_UK[:, :, None] * centred_UK[:, None, :]
        return cls(metric, _Scale.of(metric), sums_UK, size_K, products_UKK.reshape(len(sums_UK), -1))

    def pivots(self, weights_RU: Any) -> Any:
        count, width = self.sums_UK.shape
        drawn_RK, whole_K = weights_RU @ self.sums_UK, self.sums_UK.sum(0)
        # What is not defined a step aside (a root of less than nothing), or endless, does not count.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            slope_RK = np.stack([self._slope(drawn_RK, place) for place in range(width)], axis=1)
            products_RKK = (weights_RU @ self.products_UL).reshape(-1, width, width)
            mean_R = ((drawn_RK - whole_K) / self.size_K * slope_RK).sum(1)
            square_R = np.einsum("rk,rkl,rl->r", slope_RK, products_RKK, slope_RK) - mean_R**2 / count
            error_R = np.sqrt(square_R * count / (count - 1))
            return (self._z(drawn_RK) - self._z(whole_K)) / error_R

    def _z(self, sums_K: Any) -> Any:
        return self.scale.to(self.metric.value(sums_K))

    def _slope(self, sums_RK: Any, place: int) -> Any:
        """Of the metric, on its scale, by one of the sums in its size."""
        step_K = np.where(np.arange(len(self.size_K)) == place, STEP * self.size_K, 0.0)
        return (self._z(sums_RK + step_K) - self._z(sums_RK - step_K)) / (2 * STEP)
