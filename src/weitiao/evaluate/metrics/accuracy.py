"""Accuracy: the share of rows whose label is right.

right / rows
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import ratio


@register("metric", "accuracy")
@dataclass(frozen=True)
class Accuracy(Summed):
    """The share of rows whose label is right."""

    summary: ClassVar[str] = "share of rows whose label is right"
    source: ClassVar[str] = "sklearn.metrics.accuracy_score"
    needs: ClassVar[tuple[str, ...]] = ("label",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    proportion: ClassVar[bool] = True

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Right (1 or 0), and 1: (N, 2)."""
        hits = [a["label"] == b["label"] for a, b in zip(references, predictions, strict=True)]
        return np.stack([np.array(hits, dtype=float), np.ones(len(hits))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The share."""
        return ratio(sums_K[..., 0], sums_K[..., 1])
