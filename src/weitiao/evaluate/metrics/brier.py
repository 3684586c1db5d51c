"""Brier score: the squared distance of probabilities from what came true.

mean over rows of sum over labels l of (p_l - [l = y])^2; half of it for two labels
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import marks, ratio, scores


@register("metric", "brier")
@dataclass(frozen=True)
class Brier(Summed):
    """Squared distance of the probabilities from 1 for the true label and 0 for the others."""

    summary: ClassVar[str] = "squared error of the probabilities"
    source: ClassVar[str] = "sklearn.metrics.brier_score_loss"
    needs: ClassVar[tuple[str, ...]] = ("label", "scores")
    bounds: ClassVar[tuple[float, float]] = (0.0, 2.0)
    higher_is_better: ClassVar[bool] = False

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The squared distance, and 1: (N, 2)."""
        apart = ((scores(predictions, labels) - marks(references, labels)) ** 2).sum(1)
        return np.stack([apart / (2 if len(labels) == 2 else 1), np.ones(len(apart))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])
