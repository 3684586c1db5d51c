"""Pixel accuracy: the share of pixels whose label is right.

right / known pixels, of all pictures together
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import ratio
from weitiao.evaluate.pixels import counted


@register("metric", "pixel_accuracy")
@dataclass(frozen=True)
class PixelAccuracy(Summed):
    """The share of pixels that are right; a label that fills pictures decides it alone."""

    summary: ClassVar[str] = "share of pixels whose label is right"
    source: ClassVar[str] = "sklearn.metrics.accuracy_score, of pixels"
    needs: ClassVar[tuple[str, ...]] = ("mask",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    undefined: ClassVar[tuple[str, str]] = ("no pixel is known", "没有已知的像素")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Right and known pixels of each picture: (N, 2)."""
        found = counted(references, predictions, labels)
        return np.stack([np.trace(found, axis1=1, axis2=2), found.sum((1, 2))], axis=1).astype(float)

    def value(self, sums_K: Any) -> Any:
        """The share."""
        return ratio(sums_K[..., 0], sums_K[..., 1])
