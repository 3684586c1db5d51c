"""Log loss of probabilities: the mean cross-entropy of the true labels.

-log p(true label), mean over rows
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import ratio

TINY = 5e-324  # a probability that rounds to zero still has a finite logarithm


@register("metric", "log_loss")
@dataclass(frozen=True)
class LogLoss(Summed):
    """Minus the logarithm of the probability that the true label was given, on average."""

    summary: ClassVar[str] = "mean cross-entropy of the true labels"
    source: ClassVar[str] = "sklearn.metrics.log_loss"
    needs: ClassVar[tuple[str, ...]] = ("label", "scores")
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    higher_is_better: ClassVar[bool] = False

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Loss, and 1: (N, 2); a label that the model does not know has no probability."""
        pairs = zip(references, predictions, strict=True)
        losses = [-math.log(max(told["scores"].get(true["label"], 0.0), TINY)) for true, told in pairs]
        return np.stack([np.array(losses), np.ones(len(losses))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """Loss a row."""
        return ratio(sums_K[..., 0], sums_K[..., 1])
