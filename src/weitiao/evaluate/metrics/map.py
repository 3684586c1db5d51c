"""Mean average precision: how pure a search is down to each right passage.

mean over queries of  mean over right passages of (right ones down to its rank) / (its rank)      Voorhees 1999, TREC-8
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import of_found, ratio


@register("metric", "map")
@dataclass(frozen=True)
class MeanAveragePrecision(Summed):
    """1 where all right passages stand before all others; with one right passage a query the mean reciprocal rank."""

    summary: ClassVar[str] = "mean over right passages of the share of right ones down to it"
    source: ClassVar[str] = "sklearn.metrics.average_precision_score, mean over queries"
    needs: ClassVar[tuple[str, ...]] = ("ranks",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The average precision of each row, and 1: (N, 2)."""
        return of_found(predictions, _average)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])


def _average(told: Mapping[str, Any]) -> float:
    ranks = sorted(told["ranks"])
    return sum(right / rank for right, rank in enumerate(ranks, start=1)) / len(ranks)
