"""Rows that hold a picture and the things in it, each in a box.

{"image": "/yard/1.jpg", "objects": [{"label": "cat", "box": [x, y, width, height], "crowd"?: true}], ...}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.why import reason
from weitiao.data.pictured import IMAGE, OfPicture
from weitiao.data.pictures import boxes
from weitiao.data.pictures.drawn import outlined

OBJECTS = "objects"
"""The column of things."""
SEEN = 0.25
"""A thing of which a change of the picture leaves less than this share in sight is no thing of it any more."""


@dataclass(frozen=True)
class Boxed(OfPicture):
    """A picture and its things; one without any is a row, too."""

    name: ClassVar[str] = "boxed"
    target: ClassVar[str] = OBJECTS
    columns: ClassVar[Mapping[str, str]] = {
        IMAGE: "the path of a picture",
        OBJECTS: "the things in it: `label`, and `box` as [x, y, width, height] in pixels",
    }
    formats: ClassVar[tuple[str, ...]] = (OBJECTS,)
    draws: ClassVar[bool] = True

    def faults(self, values: Mapping[str, Any]) -> str:
        """A path, and a list of things, which may be empty."""
        return super().faults(values) or (reason("objects_missing") if values.get(OBJECTS) is None else "")

    def stratum(self, values: Mapping[str, Any]) -> str:
        """Which labels are in it, so that each side has all of them."""
        return " + ".join(sorted({one["label"] for one in values.get(OBJECTS) or ()}))

    def drawn(
        self,
        picture: Any,
        there: Mapping[str, Any] | None = None,
        found: Mapping[str, Any] | None = None,
        *,
        side: int | None = None,
    ) -> Any:
        """With the boxes of both."""
        things = ((one or {}).get(OBJECTS) or () for one in (there, found))
        return outlined(picture, *things, side=side)

    def moved(self, values: Mapping[str, Any], matrix_23: Any, size: tuple[int, int]) -> dict[str, Any]:
        """With boxes that followed; without the things that are out of sight."""
        kept = []
        for one, box, seen in zip(values[OBJECTS], *followed(values[OBJECTS], matrix_23, size), strict=True):
            if seen >= SEEN:
                kept.append({**one, "box": [round(side, 3) for side in box]})
        return {**values, OBJECTS: kept}


def followed(things: Sequence[Mapping[str, Any]], matrix_23: Any, size: tuple[int, int]) -> tuple[Any, Any]:
    """Where the boxes of things lie behind a change (N, 4), and which share of each is in sight (N,).

    Args:
        things: with boxes.
        matrix_23: (x, y, 1) before -> (x, y) now.
        size: width and height of the changed picture.
    """
    import numpy as np

    before_N4 = np.array([one["box"] for one in things], dtype=np.float64).reshape(-1, 4)
    now_N4 = boxes.moved(before_N4, matrix_23, size)
    # Turned by some degrees a box grows around its thing; what is in sight is then said of the grown one.
    whole_N4 = boxes.moved(before_N4, matrix_23, None)
    return now_N4, now_N4[:, 2:].prod(1) / whole_N4[:, 2:].prod(1)
