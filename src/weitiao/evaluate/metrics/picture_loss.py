"""The loss of a picture, as its model has it: of classes and boxes together, or the mean of its pixels.

sum of the pictures' losses / pictures
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


@register("metric", "picture_loss")
@dataclass(frozen=True)
class PictureLoss(Summed):
    """The mean of what each picture costs alone; models of different families count differently."""

    summary: ClassVar[str] = "mean loss of a picture, as its model has it"
    source: ClassVar[str] = "transformers, the loss of the model's class"
    needs: ClassVar[tuple[str, ...]] = ("picture_loss",)
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    higher_is_better: ClassVar[bool] = False
    undefined: ClassVar[tuple[str, str]] = ("the loss is not a finite number", "损失不是有限数")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The loss of each, and 1: (N, 2)."""
        return np.array([[told["picture_loss"], 1.0] for told in predictions]).reshape(-1, 2)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])
