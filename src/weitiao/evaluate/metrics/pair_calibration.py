"""Is the difference of two rewards right as a probability?  Of pairs of which the first was preferred.

    p = s(margin), the probability that the chosen answer is the better one      s the logistic function

    log loss   -log p, mean over pairs
    ECE        sum over bins of |pairs right - sum of max(p, 1 - p)| / pairs      bins by max(p, 1 - p)

A pair is right where p > 1/2, and half right where nothing is preferred.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import ratio
from weitiao.evaluate.metrics.calibration import Ece


def _margins(predictions: Told) -> Any:
    return np.array([told["margin"] for told in predictions], dtype=float)


@register("metric", "preference_log_loss")
@dataclass(frozen=True)
class PreferenceLogLoss(Summed):
    """Minus the logarithm of the probability that the preferred answer was given, on average; 0.693 is a coin's."""

    summary: ClassVar[str] = "mean cross-entropy of which answer was preferred"
    source: ClassVar[str] = "Bradley & Terry 1952, Biometrika 39, 324-345; sklearn.metrics.log_loss"
    needs: ClassVar[tuple[str, ...]] = ("margin",)
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    higher_is_better: ClassVar[bool] = False

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Loss, and 1: (N, 2)."""
        losses = np.logaddexp(0.0, -_margins(predictions))
        return np.stack([losses, np.ones(len(losses))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """Loss a pair."""
        return ratio(sums_K[..., 0], sums_K[..., 1])


@register("metric", "preference_ece")
@dataclass(frozen=True)
class PreferenceEce(Summed):
    """How far the probability of the answer that is preferred is from how often people preferred it, too."""

    bins: Annotated[int, Field(ge=1)] = 10
    """Into how many parts the probabilities are cut."""

    summary: ClassVar[str] = "how far probabilities of preferences are from how often they are right"
    source: ClassVar[str] = "Guo et al. 2017, arXiv 1706.04599"
    needs: ClassVar[tuple[str, ...]] = ("margin",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    @property
    def _of_rows(self) -> Ece:
        # Probabilities of the better of two begin at a half, so the upper half of the bins is what is used.
        return Ece(bins=2 * self.bins)

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """1, probability and right (1, 0 or 1/2) in the pair's bin, 0 elsewhere: (N, 3B)."""
        margins = _margins(predictions)
        with np.errstate(over="ignore"):
            probability = 1 / (1 + np.exp(-np.abs(margins)))
        return self._of_rows.told(probability, (np.sign(margins) + 1) / 2)

    def value(self, sums_K: Any) -> Any:
        """The mean distance over the pairs."""
        return self._of_rows.value(sums_K)

    def by_chance(self, rows_NK: Any, times: int, rng: Any) -> Any:
        """The values (R,) of a model whose probabilities are right."""
        return self._of_rows.by_chance(rows_NK, times, rng)
