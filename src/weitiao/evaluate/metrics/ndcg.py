"""nDCG at k: what a search shows among its first k is worth the more the nearer to the top it stands.

sum over right passages at rank r <= k of 1 / log2(1 + r)  /  the same if all right ones stood first
                                                       Järvelin & Kekäläinen 2002, ACM TOIS 20, 422-446
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import ratio


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
        found = [
            self._gain(told["ranks"]) / self._gain(range(1, 1 + len(told["ranks"]))) for told in predictions
        ]
        return np.stack([found, np.ones(len(found))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])

    def _gain(self, ranks: Sequence[int]) -> float:
        return float(sum(1 / np.log2(1 + rank) for rank in ranks if rank <= self.k))
