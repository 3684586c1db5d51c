"""Logistic regression on the pixels of small copies of the pictures.

pictures, labels  ->  28 x 28 grey, or 16 x 16 in colour where there is any  ->  logistic regression  ->  one label a picture
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.data.pictures.opening import opened
from weitiao.data.prefetch import mapped

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

GREY, COLOURED = 28, 16
"""Sides of the copies."""
LOOKED_AT = 200
"""Of so many training pictures it is seen whether there is any colour."""


@register("baseline", "pixels")
@dataclass(frozen=True)
class Pixels(Baseline):
    """Which shade at which place speaks for which label."""

    summary: ClassVar[str] = "the pixels of small copies and logistic regression"
    source: ClassVar[str] = "sklearn.linear_model.LogisticRegression"

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Weighs the pixels; with a single label there is nothing to tell apart."""
        from sklearn.linear_model import LogisticRegression

        (column,) = shape.pictures
        labels = [row.values["label"] for row in records]
        if len(set(labels)) == 1:
            return lambda unseen: [{"label": labels[0]} for _ in unseen]
        coloured = any(_has_colour(opened(row.values[column])) for row in records[:LOOKED_AT])

        def pixels(rows: Sequence[Record]) -> np.ndarray:
            import numpy as np

            return np.stack([*mapped(lambda row: _copy(opened(row.values[column]), coloured), rows)])

        model = LogisticRegression(C=0.1, max_iter=2000)
        seen_NK = pixels(records)
        centre, scale = seen_NK.mean(0), seen_NK.std()
        model.fit((seen_NK - centre) / scale, labels)
        return lambda unseen: [
            {"label": str(label)} for label in model.predict((pixels(unseen) - centre) / scale)
        ]


def _has_colour(picture: Image) -> bool:
    red, green, blue = picture.split()
    return red.tobytes() != green.tobytes() or green.tobytes() != blue.tobytes()


def _copy(picture: Image, coloured: bool) -> np.ndarray:
    import numpy as np
    from PIL.Image import Resampling

    side = COLOURED if coloured else GREY
    small = (picture if coloured else picture.convert("L")).resize((side, side), Resampling.BOX)
    return np.asarray(small, dtype=np.float32).ravel()
