"""Recall at k: how much of what is right a search shows among its first k.

mean over rows of (right passages at rank <= k) / (right passages)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import of_found, ratio


@register("metric", "recall_at_1", k=1)
@register("metric", "recall_at_5", k=5)
@register("metric", "recall_at_10", k=10)
@dataclass(frozen=True)
class RecallAt(Summed):
    """The share of a row's right passages that are among the first `k`, all passages of the judged rows searched."""

    k: Annotated[int, Field(ge=1)] = 10
    """How many passages are looked at."""

    summary: ClassVar[str] = "share of the right passages among the first k that are found"
    source: ClassVar[str] = "ranx.evaluate(metrics='recall@k')"
    needs: ClassVar[tuple[str, ...]] = ("ranks",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The share of each row, and 1: (N, 2)."""
        return of_found(predictions, lambda told: float(np.mean(np.array(told["ranks"]) <= self.k)))

    def value(self, sums_K: Any) -> Any:
        """The mean share."""
        return ratio(sums_K[..., 0], sums_K[..., 1])
