"""Precision, recall and F of each class, and their means.

    precision = hit / said        recall = hit / true        F_b = (1 + b^2) hit / (b^2 true + said)

hit, said and true are rows of a class: predicted rightly, predicted, there.  `macro` is the mean over the classes that
occur, in truth or prediction; `weighted` the mean by rows that are there; `micro` is of the sums over all classes;
`binary` is of one class alone.  0 stands for 0/0, as in scikit-learn.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.evaluate.arrays import imagined_of_classes, marks, over_classes, ratio

Average = Literal["macro", "micro", "weighted", "binary"]


class _ByClass(Summed):
    """What precision, recall and F share: the rows, and the means."""

    source: ClassVar[str] = "sklearn.metrics.precision_recall_fscore_support"
    needs: ClassVar[tuple[str, ...]] = ("label|labels",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    undefined: ClassVar[tuple[str, str]] = ("the class does not occur", "该类别未出现")
    average: Average
    positive: str

    def refuses(self, labels: Sequence[str]) -> str:
        """`binary` is of one class, and with more than two it must be said which."""
        if self.average != "binary":
            return ""
        if self.positive and self.positive not in labels:
            return reason("none_of_labels", label=self.positive)
        return "" if self.positive or len(labels) == 2 else reason("say_positive")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """hit, said and true of each class, side by side: (N, 3C)."""
        true, said = marks(references, labels), marks(predictions, labels)
        if self.average == "binary":
            place = labels.index(self.positive) if self.positive else len(labels) - 1
            true, said = true[:, place : place + 1], said[:, place : place + 1]
        return np.concatenate([true * said, said, true], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The mean over classes that `average` names."""
        return over_classes(
            sums_K, self.each, micro=self.average == "micro", weighted=self.average == "weighted"
        )

    def imagined(self, sums_UK: Any) -> Any | None:
        """Units of each class, where each class counts the same however rare it is."""
        return imagined_of_classes(sums_UK) if self.average in ("macro", "binary") else None

    @abstractmethod
    def each(self, hit: Any, said: Any, true: Any) -> Any:
        """Of every class, from its three sums."""


@register("metric", "precision")
@register("metric", "precision_micro", average="micro")
@register("metric", "precision_weighted", average="weighted")
@register("metric", "precision_binary", average="binary")
@dataclass(frozen=True)
class Precision(_ByClass):
    """Of the rows that are said to be of a class, the share that is."""

    average: Average = "macro"
    """How the classes make one number: `macro`, `micro`, `weighted`, or `binary`: one class alone."""
    positive: str = ""
    """The class that `binary` is about; default: the second label."""

    summary: ClassVar[str] = "of what is said to be of a class, the share that is"

    def each(self, hit: Any, said: Any, true: Any) -> Any:
        """hit / said."""
        return ratio(hit, said)


@register("metric", "recall")
@register("metric", "recall_micro", average="micro")
@register("metric", "recall_weighted", average="weighted")
@register("metric", "recall_binary", average="binary")
@dataclass(frozen=True)
class Recall(_ByClass):
    """Of the rows of a class, the share that is found."""

    average: Average = "macro"
    """How the classes make one number: `macro`, `micro`, `weighted`, or `binary`: one class alone."""
    positive: str = ""
    """The class that `binary` is about; default: the second label."""

    summary: ClassVar[str] = "of what is of a class, the share that is found"

    def each(self, hit: Any, said: Any, true: Any) -> Any:
        """hit / true."""
        return ratio(hit, true)


@register("metric", "f1")
@register("metric", "f1_micro", average="micro")
@register("metric", "f1_weighted", average="weighted")
@register("metric", "f1_binary", average="binary")
@dataclass(frozen=True)
class F(_ByClass):
    """The harmonic mean of precision and recall."""

    average: Average = "macro"
    """How the classes make one number: `macro`, `micro`, `weighted`, or `binary`: one class alone."""
    positive: str = ""
    """The class that `binary` is about; default: the second label."""
    beta: Annotated[float, Field(gt=0)] = 1.0
    """How many times more recall weighs than precision."""

    summary: ClassVar[str] = "harmonic mean of precision and recall"

    def each(self, hit: Any, said: Any, true: Any) -> Any:
        """(1 + b^2) hit / (b^2 true + said)."""
        square = self.beta**2
        return ratio((1 + square) * hit, square * true + said)
