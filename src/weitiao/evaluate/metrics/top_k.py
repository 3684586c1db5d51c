"""Top-k accuracy: the share of rows whose label is among the k likeliest.

right among the first k / rows
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.evaluate.arrays import indices, ratio, scores


@register("metric", "top_3", k=3)
@register("metric", "top_5", k=5)
@dataclass(frozen=True)
class TopK(Summed):
    """The share of rows whose label is among the `k` with the highest scores; of equal scores the later label first."""

    k: Annotated[int, Field(ge=1)] = 3
    """How many labels are looked at."""

    summary: ClassVar[str] = "share of rows whose label is among the k likeliest"
    source: ClassVar[str] = "sklearn.metrics.top_k_accuracy_score"
    needs: ClassVar[tuple[str, ...]] = ("label", "scores")
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    proportion: ClassVar[bool] = True

    def refuses(self, labels: Sequence[str]) -> str:
        """All labels together are always right."""
        return "" if self.k < len(labels) else reason("always_right", labels=len(labels), k=self.k)

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Right (1 or 0), and 1: (N, 2)."""
        order = np.argsort(scores(predictions, labels), axis=1, kind="stable")[:, ::-1][:, : self.k]
        hits = (order == indices(references, labels)[:, None]).any(1)
        return np.stack([hits.astype(float), np.ones(len(hits))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The share."""
        return ratio(sums_K[..., 0], sums_K[..., 1])
