"""How far the labels of a row are the right ones, where a row may have several, or none.

    F1 of a row = 2 |A and B| / (|A| + |B|), 1 where both are empty        subset accuracy = [A = B]
    Hamming loss = labels that are in one of A and B alone / labels

A holds the true labels of a row and B those that are said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import marks, ratio


class _BySet(Summed):
    """The mean over rows of something that each row has."""

    needs: ClassVar[tuple[str, ...]] = ("labels",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])


def _with_rows(each_N: Any) -> Any:
    return np.stack([each_N, np.ones(len(each_N))], axis=1)


@register("metric", "f1_samples")
@dataclass(frozen=True)
class SetF1(_BySet):
    """F1 of the labels of each row; a row without labels is right when none is said."""

    summary: ClassVar[str] = "F1 of the labels of a row, mean over rows"
    source: ClassVar[str] = 'sklearn.metrics.f1_score(average="samples", zero_division=1)'

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """F1, and 1: (N, 2)."""
        true, said = marks(references, labels), marks(predictions, labels)
        sizes = true.sum(1) + said.sum(1)
        return _with_rows(np.where(sizes > 0, ratio(2 * (true * said).sum(1), np.maximum(sizes, 1)), 1.0))


@register("metric", "subset_accuracy")
@dataclass(frozen=True)
class SubsetAccuracy(_BySet):
    """The share of rows whose labels are all there, and no others."""

    summary: ClassVar[str] = "share of rows whose labels are exactly right"
    source: ClassVar[str] = "sklearn.metrics.accuracy_score, of indicator matrices"
    proportion: ClassVar[bool] = True

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Right (1 or 0), and 1: (N, 2)."""
        return _with_rows((marks(references, labels) == marks(predictions, labels)).all(1).astype(float))


@register("metric", "hamming_loss")
@dataclass(frozen=True)
class HammingLoss(_BySet):
    """The share of all yes-or-no decisions, one a row and label, that are wrong."""

    summary: ClassVar[str] = "share of wrong decisions, one a row and label"
    source: ClassVar[str] = "sklearn.metrics.hamming_loss"
    higher_is_better: ClassVar[bool] = False

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The share of wrong labels, and 1: (N, 2)."""
        return _with_rows((marks(references, labels) != marks(predictions, labels)).mean(1))
