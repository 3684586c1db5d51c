"""Logistic regression on the colour and the place of single pixels: what can be told without seeing any shape.

red, green, blue, x, y, their squares and products  ->  logistic regression  ->  the label of each pixel
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.data.masked import MASK
from weitiao.data.pictured import IMAGE
from weitiao.data.pictures import masks
from weitiao.data.pictures.opening import opened

LOOKED_AT = 20_000
"""Training pixels, so many of each picture alike."""
SIDE = 128
"""Larger pictures are labelled on copies of this side, at most."""


@register("baseline", "colours")
@dataclass(frozen=True)
class Colours(Baseline):
    """Which colour at which place speaks for which label."""

    summary: ClassVar[str] = "the colour and place of single pixels and logistic regression"
    source: ClassVar[str] = "sklearn.linear_model.LogisticRegression"

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Weighs colours and places."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        rng, each = np.random.default_rng(0), max(1, LOOKED_AT // len(records))
        seen, told = [], []
        for record in records:
            mask = record.values[MASK]
            found = masks.read(mask).ravel()
            drawn = rng.permutation(np.flatnonzero(found >= 0))[:each]
            seen.append(_pixels(opened(record.values[IMAGE]))[drawn])
            told += [mask["labels"][place] for place in found[drawn]]
        labels = sorted(set(told))
        if len(labels) == 1:
            return lambda unseen: [_everywhere(row, labels) for row in unseen]
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
        model.fit(np.concatenate(seen), np.array([labels.index(label) for label in told]))
        return lambda unseen: [_of(row, model, labels) for row in unseen]


def _of(row: Record, model: Any, labels: Sequence[str]) -> dict[str, Any]:
    picture = opened(row.values[IMAGE])
    small = picture.copy()
    small.thumbnail((SIDE, SIDE))
    found_HW = model.predict(_pixels(small)).reshape(small.height, small.width)
    rows, columns = (
        np.arange(whole) * part // whole
        for whole, part in zip(picture.size[::-1], found_HW.shape, strict=True)
    )
    return {MASK: masks.written(found_HW[np.ix_(rows, columns)], labels)}


def _everywhere(row: Record, labels: Sequence[str]) -> dict[str, Any]:
    return {MASK: masks.written(np.zeros((row.values["height"], row.values["width"]), int), labels)}


def _pixels(picture: Any) -> Any:
    """Colour and place of each pixel, their squares and products (H * W, 20)."""
    shades_HW3 = np.asarray(picture, dtype=np.float64) / 255
    height, width, _ = shades_HW3.shape
    y_H1, x_1W = (np.arange(height)[:, None] + 0.5) / height, (np.arange(width)[None] + 0.5) / width
    places = np.broadcast_arrays(x_1W, y_H1)
    plain = np.concatenate([shades_HW3, np.stack(places, axis=-1)], axis=-1).reshape(-1, 5)
    first, second = np.triu_indices(5)
    return np.concatenate([plain, plain[:, first] * plain[:, second]], axis=1)
