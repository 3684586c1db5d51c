"""Areas under curves: how well scores order the rows, whatever threshold is taken.

    ROC  share of (positive, other) pairs of rows in which the positive has the higher score; a tie counts half
    PR   sum over thresholds of (recall gained) * precision, which is average precision

Of more than two labels, and where a row has several, each label is set against the rest, and the mean is over those
that have rows on both sides.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Metric, Told
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.evaluate.arrays import marks, midranks, ratio, scores


class _Area(Metric):
    """What both areas share: ranks of scores, each label's rows, the mean."""

    needs: ClassVar[tuple[str, ...]] = ("scores",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    undefined: ClassVar[tuple[str, str]] = ("only one class", "只有一个类别")
    positive: str

    def refuses(self, labels: Sequence[str]) -> str:
        """A class that is none."""
        return reason("none_of_labels", label=self.positive) if {self.positive} - {"", *labels} else ""

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Ranks of the scores, and 1 where the label is there, label by label: (N, 2C)."""
        true, said = marks(references, labels), scores(predictions, labels)
        several = bool(references) and "labels" in references[0]
        if self.positive:
            places = [labels.index(self.positive)]
        else:
            places = [1] if len(labels) == 2 and not several else list(range(len(labels)))
        # Ranks, because scores of two systems may not be set beside each other.
        ranks = np.stack([midranks(said[:, place]) for place in places], axis=1)
        return np.concatenate([ranks, true[:, places]], axis=1)

    def over(self, rows_NK: Any, weights_RN: Any) -> Any:
        """The mean over the labels that have rows on both sides."""
        return self._mean(self._areas(rows_NK, weights_RN))

    def redrawn(self, rows_NK: Any, weights_RN: Any) -> Any:
        """A label that a draw lacks has the area of all rows there: the mean over the others is not that over all."""
        whole_C1 = self._areas(rows_NK, np.ones((1, len(rows_NK))))
        areas_CR = self._areas(rows_NK, weights_RN)
        return self._mean(np.where(np.isfinite(areas_CR), areas_CR, whole_C1))

    def _areas(self, rows_NK: Any, weights_RN: Any) -> Any:
        """The area of each label and draw (C, R)."""
        ranks, true = np.split(rows_NK, 2, axis=1)
        areas = []
        for rank, there in zip(ranks.T, true.T, strict=True):
            order = np.argsort(rank, kind="stable")
            starts = np.flatnonzero(np.diff(rank[order], prepend=-1.0))
            weights, there = weights_RN[:, order], there[order]
            # Rows of one score are one step of the curve.
            steps = [np.add.reduceat(weights * side, starts, axis=1) for side in (there, 1 - there)]
            areas.append(self.area(*steps))
        return np.stack(areas)

    def _mean(self, areas_CR: Any) -> Any:
        known = np.isfinite(areas_CR)
        return ratio(np.where(known, areas_CR, 0.0).sum(0), known.sum(0))

    @abstractmethod
    def area(self, positive_RS: Any, other_RS: Any) -> Any:
        """The area (R,) from the rows at each score, lowest first, on both sides; nan where a side is empty."""


@register("metric", "roc_auc")
@dataclass(frozen=True)
class RocAuc(_Area):
    """How often a row of a class has a higher score for it than a row of another class."""

    positive: str = ""
    """The class in question; default: the second of two labels; of more, each against the rest, and the mean."""

    summary: ClassVar[str] = "area under the ROC curve: how well scores order the rows"
    source: ClassVar[str] = "sklearn.metrics.roc_auc_score"

    def area(self, positive_RS: Any, other_RS: Any) -> Any:
        """Pairs in the right order, ties half, of all pairs."""
        below = np.cumsum(other_RS, axis=1) - other_RS / 2
        return ratio((positive_RS * below).sum(1), positive_RS.sum(1) * other_RS.sum(1))


@register("metric", "pr_auc")
@dataclass(frozen=True)
class PrAuc(_Area):
    """Average precision: the area under the curve of precision by recall, for classes that are rare."""

    positive: str = ""
    """The class in question; default: the second of two labels; of more, each against the rest, and the mean."""

    summary: ClassVar[str] = "average precision: area under precision by recall"
    source: ClassVar[str] = "sklearn.metrics.average_precision_score"

    def area(self, positive_RS: Any, other_RS: Any) -> Any:
        """Precision at each score from the highest down, weighed by what is found there."""
        found, false = (np.cumsum(side[:, ::-1], axis=1) for side in (positive_RS, other_RS))
        precision = np.nan_to_num(ratio(found, found + false))
        area = ratio((positive_RS[:, ::-1] * precision).sum(1), positive_RS.sum(1))
        return np.where(other_RS.sum(1) > 0, area, np.nan)
