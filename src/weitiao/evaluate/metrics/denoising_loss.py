"""The loss of a denoiser: how far what it says of the noise in a picture is from what was put there.

sum of the rows' losses / rows, each at fixed times and with fixed noise
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


@register("metric", "denoising_loss")
@dataclass(frozen=True)
class DenoisingLoss(Summed):
    """The mean over pictures; two models are asked of the same noise at the same times."""

    summary: ClassVar[str] = "mean loss of a denoiser, at fixed times with fixed noise"
    source: ClassVar[str] = "Ho et al. 2020, arXiv 2006.11239, equation 14"
    needs: ClassVar[tuple[str, ...]] = ("denoising_loss",)
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    higher_is_better: ClassVar[bool] = False
    undefined: ClassVar[tuple[str, str]] = ("the loss is not a finite number", "损失不是有限数")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The loss of each, and 1: (N, 2)."""
        return np.array([[told["denoising_loss"], 1.0] for told in predictions]).reshape(-1, 2)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])
