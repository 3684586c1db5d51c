"""Distances of numbers: mean absolute error, mean squared error, its root, and the share of variance explained.

    MAE = mean |y - x|    MSE = mean (y - x)^2    RMSE = sqrt(MSE)    R2 = 1 - sum (y - x)^2 / sum (y - mean y)^2

y is the true number of a row and x the predicted one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import numbers, ratio


class _Error(Summed):
    """The mean of a distance."""

    needs: ClassVar[tuple[str, ...]] = ("number",)
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    higher_is_better: ClassVar[bool] = False


@register("metric", "mae")
@dataclass(frozen=True)
class Mae(_Error):
    """How far the predicted number is off, on average, in the number's own units."""

    summary: ClassVar[str] = "mean absolute error"
    source: ClassVar[str] = "sklearn.metrics.mean_absolute_error"

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """|y - x|, and 1: (N, 2)."""
        apart = np.abs(numbers(references) - numbers(predictions))
        return np.stack([apart, np.ones(len(apart))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])


class _Squared(_Error):
    """Sums of squared distances."""

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """(y - x)^2, and 1: (N, 2)."""
        apart = (numbers(references) - numbers(predictions)) ** 2
        return np.stack([apart, np.ones(len(apart))], axis=1)


@register("metric", "mse")
@dataclass(frozen=True)
class Mse(_Squared):
    """Mean squared error: large misses count most."""

    summary: ClassVar[str] = "mean squared error"
    source: ClassVar[str] = "sklearn.metrics.mean_squared_error"

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])


@register("metric", "rmse")
@dataclass(frozen=True)
class Rmse(_Squared):
    """The root of the mean squared error, in the number's own units."""

    summary: ClassVar[str] = "root of the mean squared error"
    source: ClassVar[str] = "sklearn.metrics.root_mean_squared_error"

    def value(self, sums_K: Any) -> Any:
        """The root of the mean."""
        return np.sqrt(ratio(sums_K[..., 0], sums_K[..., 1]))


@register("metric", "r2")
@dataclass(frozen=True)
class R2(Summed):
    """The share of the numbers' variance that the predictions explain; 0 is what their mean alone would do."""

    summary: ClassVar[str] = "share of the variance explained"
    source: ClassVar[str] = "sklearn.metrics.r2_score"
    needs: ClassVar[tuple[str, ...]] = ("number",)
    bounds: ClassVar[tuple[float, float]] = (-math.inf, 1.0)
    undefined: ClassVar[tuple[str, str]] = ("all true numbers are equal", "真实数值全部相同")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """(y - x)^2, y and y^2 less a common number, and 1: (N, 4)."""
        true = numbers(references)
        apart, true = (true - numbers(predictions)) ** 2, true - true.mean()
        return np.stack([apart, true, true**2, np.ones(len(true))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """1 - unexplained / variance."""
        apart, true, square, rows = np.moveaxis(np.asarray(sums_K, dtype=float), -1, 0)
        spread = square - ratio(true**2, rows)
        spread = np.where(spread > 1e-12 * square, spread, 0.0)  # a difference of equal sums is none
        return np.where(spread > 0, 1 - ratio(apart, spread), np.nan)
