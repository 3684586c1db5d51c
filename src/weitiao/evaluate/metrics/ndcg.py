"""nDCG at k: what a search shows among its first k is worth the more the nearer to the top it stands.

sum over right passages at rank r <= k of gain / log2(1 + r)  /  the same if the best stood first; a gain is 1 where none is said
                                                       Järvelin & Kekäläinen 2002, ACM TOIS 20, 422-446
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import of_found, ratio


@register("metric", "ndcg_at_10", k=10)
@dataclass(frozen=True)
class NDCG(Summed):
    """The gain of the first `k` passages, discounted by the logarithm of their ranks, as a share of the greatest possible."""

    k: Annotated[int, Field(ge=1)] = 10
    """How many passages are looked at."""

    summary: ClassVar[str] = "discounted gain of the first k passages, as a share of the best"
    source: ClassVar[str] = "sklearn.metrics.ndcg_score"
    needs: ClassVar[tuple[str, ...]] = ("ranks",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """nDCG of each row, and 1: (N, 2)."""
        return of_found(predictions, self._share)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])

    def _share(self, told: Mapping[str, Any]) -> float:
        ranks = told["ranks"]
        gains = told.get("gains") or [1.0] * len(ranks)
        best = self._gain(range(1, 1 + len(ranks)), sorted(gains, reverse=True))
        return self._gain(ranks, gains) / best

    def _gain(self, ranks: Sequence[int], gains: Sequence[float]) -> float:
        each = zip(ranks, gains, strict=True)
        return sum(gain / math.log2(1 + rank) for rank, gain in each if rank <= self.k)
