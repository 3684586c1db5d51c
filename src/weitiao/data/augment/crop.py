"""Crops: a part of a picture.

a window of side sqrt(area) of both sides, area ~ uniform(share, 1), at a random place; then the old size again
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from random import Random
from typing import TYPE_CHECKING, ClassVar

from weitiao.core.contracts import Shape
from weitiao.core.registry import register
from weitiao.data.augment import Change, Changes, Helpers, Kind, Share
from weitiao.data.augment.pictures import by_picture

if TYPE_CHECKING:
    from PIL.Image import Image


@register("augmentation", "crop")
@dataclass(frozen=True, kw_only=True)
class Crop(Changes):
    """Cut pictures, of the same proportions."""

    share: Share = 0.7
    """Smallest share of the area that is kept."""
    resize: bool = True
    """Bring the part back to the size of the whole."""

    summary: ClassVar[str] = "parts of pictures"
    source: ClassVar[str] = "Szegedy et al. 2015, arXiv 1409.4842"
    works_on: ClassVar[Kind] = "pictures"

    def needs(self) -> tuple[str, ...]:
        """A folder to write into."""
        return ("folder",)

    def ready(self, shape: Shape, helpers: Helpers) -> Change:
        """One window a copy."""

        def edit(picture: Image, rng: Random) -> Image:
            part = cropped(picture, area=rng.uniform(self.share, 1.0), rng=rng)
            return part.resize(picture.size) if self.resize else part

        return by_picture(edit, helpers)


def cropped(picture: Image, *, area: float, rng: Random) -> Image:
    """A window of that share of the area, one pixel wide and high at least."""
    width, height = (max(1, round(side * sqrt(area))) for side in picture.size)
    left, top = rng.randint(0, picture.width - width), rng.randint(0, picture.height - height)
    return picture.crop((left, top, left + width, top + height))
