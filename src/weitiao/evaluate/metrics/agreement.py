"""Agreement of labels beyond chance: balanced accuracy, Matthews' correlation, Cohen's kappa.

    balanced accuracy = mean over classes of hit_c / true_c
    MCC   = (n hits - sum true_c said_c) / sqrt((n^2 - sum said_c^2) (n^2 - sum true_c^2))
    kappa = 1 - observed disagreement / disagreement of independent labels

Kappa counts each disagreement as 1; `linear` and `quadratic` count it by how far apart the labels are in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import imagined_of_classes, indices, marks, ratio


@register("metric", "balanced_accuracy")
@dataclass(frozen=True)
class BalancedAccuracy(Summed):
    """The mean of the classes' recalls, so that rare classes count as much as common ones."""

    summary: ClassVar[str] = "mean recall over the classes that occur"
    source: ClassVar[str] = "sklearn.metrics.balanced_accuracy_score"
    needs: ClassVar[tuple[str, ...]] = ("label",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """hit and true of each class: (N, 2C)."""
        true = marks(references, labels)
        return np.concatenate([true * marks(predictions, labels), true], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The mean over classes that have rows."""
        hit, true = np.split(np.asarray(sums_K, dtype=float), 2, axis=-1)
        return ratio(np.nan_to_num(ratio(hit, true)).sum(-1), (true > 0).sum(-1))

    def imagined(self, sums_UK: Any) -> Any:
        """Of each class a unit that is found and one that is missed."""
        hit, true = np.split(np.asarray(sums_UK, dtype=float), 2, axis=-1)
        classes = true.shape[-1]
        units = imagined_of_classes(np.concatenate([hit, true, true], axis=-1))
        return units[: 2 * classes][:, np.r_[:classes, 2 * classes : 3 * classes]]


@register("metric", "mcc")
@dataclass(frozen=True)
class Mcc(Summed):
    """The correlation of true and predicted labels; 0 where all predictions are one class."""

    summary: ClassVar[str] = "correlation of true and predicted labels, -1 to 1"
    source: ClassVar[str] = "sklearn.metrics.matthews_corrcoef"
    needs: ClassVar[tuple[str, ...]] = ("label",)
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    undefined: ClassVar[tuple[str, str]] = ("only one class", "只有一个类别")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Right, 1, true and said of each class: (N, 2 + 2C)."""
        true, said = marks(references, labels), marks(predictions, labels)
        right = (true * said).sum(1, keepdims=True)
        return np.concatenate([right, np.ones_like(right), true, said], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The correlation."""
        sums_K = np.asarray(sums_K, dtype=float)
        hits, rows = sums_K[..., 0], sums_K[..., 1]
        true, said = np.split(sums_K[..., 2:], 2, axis=-1)
        of_true, of_said = (rows**2 - (part**2).sum(-1) for part in (true, said))
        above = hits * rows - (true * said).sum(-1)
        found = ratio(above, np.sqrt(of_true * of_said))
        return np.where(of_true == 0, np.nan, np.where(of_said == 0, 0.0, found))


@register("metric", "kappa")
@register("metric", "kappa_linear", weights="linear")
@register("metric", "kappa_quadratic", weights="quadratic")
@dataclass(frozen=True)
class Kappa(Summed):
    """How much rarer disagreements are than if predictions were independent of the truth."""

    weights: Literal["none", "linear", "quadratic"] = "none"
    """What a disagreement counts: 1, or by the distance of the two labels in their order, or by its square."""

    summary: ClassVar[str] = "agreement beyond chance (Cohen)"
    source: ClassVar[str] = "sklearn.metrics.cohen_kappa_score"
    needs: ClassVar[tuple[str, ...]] = ("label",)
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    undefined: ClassVar[tuple[str, str]] = ("only one class", "只有一个类别")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """What the disagreement counts, 1, true and said of each class: (N, 2 + 2C)."""
        counts = self._counts(len(labels))[indices(references, labels), indices(predictions, labels)]
        both = [
            counts[:, None],
            np.ones((len(counts), 1)),
            marks(references, labels),
            marks(predictions, labels),
        ]
        return np.concatenate(both, axis=1)

    def value(self, sums_K: Any) -> Any:
        """1 - observed / expected."""
        sums_K = np.asarray(sums_K, dtype=float)
        observed, rows = sums_K[..., 0], sums_K[..., 1]
        true, said = np.split(sums_K[..., 2:], 2, axis=-1)
        expected = ((true @ self._counts(true.shape[-1])) * said).sum(-1) / np.maximum(rows, 1)
        return 1 - ratio(observed, expected)

    def _counts(self, classes: int) -> Any:
        apart = np.abs(np.arange(classes)[:, None] - np.arange(classes)).astype(float)
        return {"none": (apart > 0).astype(float), "linear": apart, "quadratic": apart**2}[self.weights]
