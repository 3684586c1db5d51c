"""How far the pictures that were drawn are from those that are there, as two clouds of what an encoder sees in them.

|m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2))     of means and covariances of features

As FID has it (Heusel et al. 2017, arXiv 1706.08500), of another encoder and fewer directions: its values are not those of papers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register


@register("metric", "frechet_distance")
@dataclass(frozen=True)
class FrechetDistance(Summed):
    """Of few pictures it is too large, and the more so the fewer: compare it at one number of rows alone."""

    summary: ClassVar[str] = "distance of drawn pictures from true ones, in an encoder's features (FID-like)"
    source: ClassVar[str] = "Heusel et al. 2017, arXiv 1706.08500, equation 6"
    needs: ClassVar[tuple[str, ...]] = ("seen_drawn", "seen_true")
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    higher_is_better: ClassVar[bool] = False
    leaning: ClassVar[bool] = True
    undefined: ClassVar[tuple[str, str]] = ("two pictures at least are needed", "至少需要两张图片")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """1, features of both pictures, and all products of two features of one picture: (N, 1 + 2 W + 2 W^2)."""
        drawn, true = (
            np.array([told[name] for told in predictions], dtype=float)
            for name in ("seen_drawn", "seen_true")
        )
        squares = [np.einsum("ni,nj->nij", each, each).reshape(len(each), -1) for each in (drawn, true)]
        return np.concatenate([np.ones((len(drawn), 1)), drawn, true, *squares], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The distance."""
        width = round((math.sqrt(1 + 2 * (sums_K.shape[-1] - 1)) - 1) / 2)
        count = sums_K[..., :1]
        with np.errstate(invalid="ignore", divide="ignore"):
            told = sums_K[..., 1:] / count
        means = told[..., :width], told[..., width : 2 * width]
        spread = told[..., 2 * width :].reshape(*told.shape[:-1], 2, width, width)
        covariances = [
            spread[..., place, :, :] - mean[..., :, None] * mean[..., None, :]
            for place, mean in enumerate(means)
        ]
        one, two = (np.nan_to_num(each) for each in covariances)
        root = _root(one)
        both = np.trace(_root(root @ two @ root), axis1=-2, axis2=-1)
        apart = ((means[0] - means[1]) ** 2).sum(-1)
        traces = np.trace(one, axis1=-2, axis2=-1) + np.trace(two, axis1=-2, axis2=-1)
        found = np.maximum(apart + traces - 2 * both, 0.0)
        return np.where(count[..., 0] >= 2, found, np.nan)


def _root(matrices: Any) -> Any:
    """Square roots of symmetric matrices (..., W, W) without negative directions."""
    lengths, ways = np.linalg.eigh(matrices)
    return (ways * np.sqrt(np.maximum(lengths, 0.0))[..., None, :]) @ np.swapaxes(ways, -1, -2)
