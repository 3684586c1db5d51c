"""Crops: a part of a picture.

a window of side sqrt(area) of both sides, area ~ uniform(share, 1), at a random place; then the old size again
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from random import Random
from typing import TYPE_CHECKING, ClassVar

from weitiao.core.registry import register
from weitiao.data.augment import Share
from weitiao.data.augment.pictures import PictureChanges
from weitiao.data.pictures import geometry
from weitiao.data.pictures.geometry import Moved

if TYPE_CHECKING:
    from PIL.Image import Image


@register("augmentation", "crop")
@dataclass(frozen=True, kw_only=True)
class Crop(PictureChanges):
    """Cut pictures, of the same proportions."""

    share: Share = 0.7
    """Smallest share of the area that is kept."""
    resize: bool = True
    """Bring the part back to the size of the whole."""

    summary: ClassVar[str] = "parts of pictures"
    source: ClassVar[str] = "Szegedy et al. 2015, arXiv 1409.4842"

    def edit(self, picture: Image, rng: Random) -> Moved:
        """One window."""
        left, top, width, height = drawn(picture.size, area=rng.uniform(self.share, 1.0), rng=rng)
        part = picture.crop((left, top, left + width, top + height))
        if not self.resize:
            return Moved(part, geometry.window(left, top))
        scale = picture.width / width, picture.height / height
        return Moved(part.resize(picture.size), geometry.window(left, top, scale=scale))


def drawn(size: tuple[int, int], *, area: float, rng: Random) -> tuple[int, int, int, int]:
    """A window of that share of the area, one pixel wide and high at least: left, top, width, height."""
    width, height = (max(1, round(side * sqrt(area))) for side in size)
    return rng.randint(0, size[0] - width), rng.randint(0, size[1] - height), width, height
