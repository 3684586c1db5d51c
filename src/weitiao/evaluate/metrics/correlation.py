"""Correlations of numbers: Pearson's of the numbers, Spearman's of their ranks.

    r = sum (x - mean x)(y - mean y) / sqrt(sum (x - mean x)^2 sum (y - mean y)^2)

Equal numbers have the mean of their ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Metric, Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import midranks, numbers, ratio

CONSTANT = ("all true or all predicted numbers are equal", "真实数值或预测数值全部相同")


@register("metric", "pearson")
@dataclass(frozen=True)
class Pearson(Summed):
    """How well predicted numbers follow the true ones along a line, -1 to 1."""

    summary: ClassVar[str] = "linear correlation with the true numbers"
    source: ClassVar[str] = "scipy.stats.pearsonr"
    needs: ClassVar[tuple[str, ...]] = ("number",)
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    undefined: ClassVar[tuple[str, str]] = CONSTANT

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """y, x, y^2, x^2, xy less a common number, and 1: (N, 6)."""
        true, said = numbers(references), numbers(predictions)
        true, said = true - true.mean(), said - true.mean()
        return np.stack([true, said, true**2, said**2, true * said, np.ones(len(true))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The correlation."""
        true, said, true2, said2, both, rows = np.moveaxis(np.asarray(sums_K, dtype=float), -1, 0)
        return _correlation(true, said, true2, said2, both, rows=rows)


@register("metric", "spearman")
@dataclass(frozen=True)
class Spearman(Metric):
    """How well predicted numbers keep the order of the true ones, -1 to 1."""

    summary: ClassVar[str] = "rank correlation with the true numbers"
    source: ClassVar[str] = "scipy.stats.spearmanr"
    needs: ClassVar[tuple[str, ...]] = ("number",)
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    undefined: ClassVar[tuple[str, str]] = CONSTANT

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Ranks of the true and the predicted numbers: (N, 2)."""
        return np.stack([midranks(numbers(references)), midranks(numbers(predictions))], axis=1)

    def over(self, rows_NK: Any, weights_RN: Any) -> Any:
        """The correlation of the ranks that the rows have among those that are drawn."""
        rows_R = weights_RN.sum(1)
        middle = (rows_R[:, None] + 1) / 2
        true, said = (_ranks(column, weights_RN) - middle for column in rows_NK.T)
        parts = [(weights_RN * part).sum(1) for part in (true, said, true**2, said**2, true * said)]
        return _correlation(*parts, rows=rows_R)


def _ranks(column_N: Any, weights_RN: Any) -> Any:
    """The mean rank (R, N) of each row, where a row that counts twice is there twice."""
    values, place = np.unique(column_N, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(values)))
    counts = np.add.reduceat(weights_RN[:, order], starts, axis=1)
    return (np.cumsum(counts, axis=1) - counts / 2 + 0.5)[:, place]


def _correlation(true: Any, said: Any, true2: Any, said2: Any, both: Any, *, rows: Any) -> Any:
    """From sums of y, x, y^2, x^2, xy and 1."""
    of_true, of_said = true2 - ratio(true**2, rows), said2 - ratio(said**2, rows)
    # A difference of equal sums is none.
    known = (of_true > 1e-12 * true2) & (of_said > 1e-12 * said2)
    found = ratio(both - ratio(true * said, rows), np.sqrt(np.where(known, of_true * of_said, 1.0)))
    return np.where(known, np.clip(found, -1.0, 1.0), np.nan)
