"""Rows that hold a picture and its mask: which label each of its pixels has.

{"image": "/yard/1.jpg", "mask": {"labels": ["grass", "path"], "png": "iVBORw0..."}, ...}      `data.pictures.masks`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.why import reason
from weitiao.data.pictured import IMAGE, OfPicture
from weitiao.data.pictures import masks
from weitiao.data.pictures.painted import painted

MASK = "mask"
"""The column of masks."""


@dataclass(frozen=True)
class Masked(OfPicture):
    """A picture and the label of every pixel."""

    name: ClassVar[str] = "masked"
    target: ClassVar[str] = MASK
    columns: ClassVar[Mapping[str, str]] = {
        IMAGE: "the path of a picture",
        MASK: "the path of its mask; once read, its labels and a PNG of places among them",
    }
    draws: ClassVar[bool] = True
    formats: ClassVar[tuple[str, ...]] = (MASK, "outlines")

    def faults(self, values: Mapping[str, Any]) -> str:
        """A path and a mask are needed."""
        return super().faults(values) or (reason("mask_missing") if values.get(MASK) is None else "")

    def stratum(self, values: Mapping[str, Any]) -> str:
        """Which labels are in it, so that each side has all of them."""
        return " + ".join(sorted(set((values.get(MASK) or {"labels": ()})["labels"])))

    def drawn(
        self,
        picture: Any,
        there: Mapping[str, Any] | None = None,
        found: Mapping[str, Any] | None = None,
        *,
        side: int | None = None,
    ) -> Any:
        """With the masks of both, side by side."""
        return painted(picture, [one[MASK] for one in (there, found) if one and one.get(MASK)], side=side)

    def files(self, found: Mapping[str, Any]) -> dict[str, bytes]:
        """The mask, whose values are places among its labels."""
        return {"-mask.png": masks.content(found[MASK])}

    def moved(self, values: Mapping[str, Any], matrix_23: Any, size: tuple[int, int]) -> dict[str, Any]:
        """With a mask that followed, pixel by pixel."""
        mask = values[MASK]
        return {**values, MASK: masks.written(masks.moved(masks.read(mask), matrix_23, size), mask["labels"])}
