"""How well the pixels of each label are found: intersection over union, or Dice, the mean over the labels.

hit / (said + true - hit)      2 hit / (said + true)      in pixels of all pictures together
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.evaluate.arrays import imagined_of_classes, over_classes, ratio
from weitiao.evaluate.pixels import sides


@register("metric", "mean_iou")
@register("metric", "mean_dice", dice=True)
@dataclass(frozen=True)
class MeanIou(Summed):
    """1 where every pixel is right; the mean over the labels that occur, or are said."""

    dice: bool = False
    """Twice the pixels that are right over those said and those true, not intersection over union."""
    label: str = ""
    """The label in question; default: the mean over all."""

    summary: ClassVar[str] = "overlap of the pixels of each label with the true ones, mean over labels"
    source: ClassVar[str] = (
        "sklearn.metrics.jaccard_score, f1_score; Everingham et al. 2015, doi 10.1007/s11263-014-0733-5"
    )
    needs: ClassVar[tuple[str, ...]] = ("mask",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    undefined: ClassVar[tuple[str, str]] = ("there is no pixel of it", "没有这一类的像素")

    def refuses(self, labels: Sequence[str]) -> str:
        """A label that is none."""
        return reason("none_of_labels", label=self.label) if {self.label} - {"", *labels} else ""

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Hit, said and true of each label: (N, 3C)."""
        found = sides(references, predictions, labels)
        return found[:, list(labels).index(self.label) :: len(labels)] if self.label else found

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return over_classes(sums_K, self._each)

    def imagined(self, sums_UK: Any) -> Any:
        """What pictures might have been like that were not seen."""
        return imagined_of_classes(sums_UK)

    def _each(self, hit: Any, said: Any, true: Any) -> Any:
        return ratio(2 * hit, said + true) if self.dice else ratio(hit, said + true - hit)
