"""Mean average precision of boxes, as COCO has it: how purely and how wholly things are found, class by class.

    objects: [{"label": "cat", "box": [x, y, width, height], "score": 0.9}, ...]; what is there has no score, but may have a `crowd`

    precision at recall r = the highest precision at any score at which r or more of the things are found
    average precision     = its mean over r = 0, 0.01 ... 1          mAP = the mean of those over classes and overlaps

A box is right where it overlaps a thing of its class enough that no box of a higher score has taken (`evaluate.matching`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Metric, Told
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.evaluate.arrays import ratio
from weitiao.evaluate.matching import matched

OVERLAPS = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""COCO's ten thresholds of intersection over union."""
RECALLS = np.linspace(0.0, 1.0, 101)
"""Where precision is read (COCO)."""
BLOCK = 1 << 22
"""Weights of boxes that are in memory at once."""


@register("metric", "box_map")
@register("metric", "box_map_50", overlap=0.5)
@register("metric", "box_map_75", overlap=0.75)
@dataclass(frozen=True)
class BoxMeanAveragePrecision(Metric):
    """1 where every thing is found, in its place, and nothing else is told with a higher score."""

    overlap: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Intersection over union from which a box is right; 0: the mean over 0.5, 0.55 ... 0.95."""
    label: str = ""
    """The class in question; default: the mean over all that occur."""

    summary: ClassVar[str] = "mean average precision of boxes, over classes and overlaps"
    source: ClassVar[str] = (
        "pycocotools 2.0.11, COCOeval (bbox, area all, maxDets 100); Lin et al. 2014, arXiv 1405.0312"
    )
    needs: ClassVar[tuple[str, ...]] = ("objects",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    undefined: ClassVar[tuple[str, str]] = ("there is no box to be found", "没有可以找到的框")
    effort: ClassVar[int] = 400_000  # a row is a picture with all its boxes

    def refuses(self, labels: Sequence[str]) -> str:
        """A class that is none."""
        return reason("none_of_labels", label=self.label) if {self.label} - {"", *labels} else ""

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The matched boxes of each picture (`evaluate.matching.Matched`): (N, 1), as objects."""
        meant = [self.label] if self.label else labels
        overlaps = (self.overlap,) if self.overlap else OVERLAPS
        found = np.empty((len(references), 1), dtype=object)
        for row, sides in enumerate(zip(references, predictions, strict=True)):
            there, told = (
                [one for one in side["objects"] if not self.label or one["label"] == self.label]
                for side in sides
            )
            found[row, 0] = matched(there, told, meant, overlaps)
        return found

    def over(self, rows_NK: Any, weights_RN: Any) -> Any:
        """The mean over the classes that occur in each draw."""
        return _mean(_each(rows_NK, weights_RN))

    def redrawn(self, rows_NK: Any, weights_RN: Any) -> Any:
        """A class that a draw lacks has the precision of all pictures there: the mean over the others is not that over all."""
        precision_CR = _each(rows_NK, weights_RN)
        if np.isfinite(precision_CR).all():
            return _mean(precision_CR)
        whole_C1 = _each(rows_NK, np.ones((1, len(rows_NK))))
        return _mean(np.where(np.isfinite(precision_CR), precision_CR, whole_C1))


def _mean(precision_CR: Any) -> Any:
    known = np.isfinite(precision_CR)
    return ratio(np.where(known, precision_CR, 0.0).sum(0), known.sum(0))


def _each(rows_NK: Any, weights_RN: Any) -> Any:
    """The average precision of each class in each draw (C, R), the mean over overlaps; nan where no box is to be found."""
    pictures = rows_NK[:, 0]
    true_NC = np.stack([one.true_C for one in pictures])
    picture_D = np.repeat(np.arange(len(pictures)), [len(one.label_D) for one in pictures])
    label_D, score_D, hit_DT, void_DT = (
        np.concatenate([getattr(one, name) for one in pictures])
        for name in ("label_D", "score_D", "hit_DT", "void_DT")
    )
    found_CR = np.full((true_NC.shape[1], len(weights_RN)), np.nan)
    there_RC = weights_RN @ true_NC
    for label in np.flatnonzero(true_NC.any(0)):
        own = np.flatnonzero(label_D == label)
        # Boxes of one score stand in the order of their pictures, as in pycocotools.
        own = own[np.argsort(-score_D[own], kind="stable")]
        step = max(1, BLOCK // max(1, len(own)))
        for start in range(0, len(weights_RN), step):
            block = slice(start, start + step)
            often_RD, there_R = weights_RN[block][:, picture_D[own]], there_RC[block, label]
            areas = list(_areas(often_RD, hit_DT[own], void_DT[own], there_R))
            found_CR[label, block] = np.where(there_R > 0, np.mean(areas, axis=0), np.nan)
    return found_CR


def _areas(often_RD: Any, hit_DT: Any, void_DT: Any, there_R: Any) -> Iterator[Any]:
    """The average precision (R,) under each threshold, of boxes in falling score that count so often."""
    last: Any = None
    told_RD: Any = None
    for hit_D, void_D in zip(hit_DT.T, void_DT.T, strict=True):
        # Only at boxes that are right does recall rise; what the others do is seen in how many were told by then.
        if last is None or (void_D != last).any():
            last, told_RD = void_D, np.cumsum(often_RD * ~void_D, axis=1)
        right_RH = np.cumsum(often_RD[:, hit_D], axis=1)
        precision_RH = np.nan_to_num(ratio(right_RH, told_RD[:, hit_D]))
        best_RH = np.maximum.accumulate(precision_RH[:, ::-1], axis=1)[:, ::-1]
        recall_RH = np.nan_to_num(ratio(right_RH, there_R[:, None]))
        read_RH = np.searchsorted(RECALLS, recall_RH, side="right")
        # A box that is in no draw raises no recall, and recall 0 is read at the best precision of all.
        new_RH = np.diff(np.where(right_RH > 0, read_RH, 0), axis=1, prepend=0)
        yield (best_RH * new_RH).sum(1) / len(RECALLS)
