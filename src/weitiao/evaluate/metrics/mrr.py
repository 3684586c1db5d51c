"""Mean reciprocal rank: how near to the top a search shows the first right passage.

mean over rows of 1 / (best rank of a right passage)          Voorhees 1999, TREC-8
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import ratio


@register("metric", "mrr")
@dataclass(frozen=True)
class MeanReciprocalRank(Summed):
    """1 where the first passage is right, 1/2 where the second is the first right one, and so on, on average."""

    summary: ClassVar[str] = "mean of 1 / rank of the first right passage"
    source: ClassVar[str] = "ranx.evaluate(metrics='mrr')"
    needs: ClassVar[tuple[str, ...]] = ("ranks",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The reciprocal rank of each row, and 1: (N, 2)."""
        found = [1 / min(told["ranks"]) for told in predictions]
        return np.stack([found, np.ones(len(found))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])
