"""Flips: a picture as in a mirror.

left and right change sides (`horizontal`), or top and bottom (`vertical`), or one of the two at random (`either`)
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, ClassVar, Literal

from weitiao.core.registry import register
from weitiao.data.augment.pictures import PictureChanges
from weitiao.data.pictures import geometry
from weitiao.data.pictures.geometry import Moved

if TYPE_CHECKING:
    from PIL.Image import Image


@register("augmentation", "flip")
@dataclass(frozen=True, kw_only=True)
class Flip(PictureChanges):
    """Mirrored pictures; not for pictures whose label a mirror changes, such as writing or road signs."""

    direction: Literal["horizontal", "vertical", "either"] = "horizontal"
    """Which sides change places."""

    summary: ClassVar[str] = "mirrored pictures"
    source: ClassVar[str] = "Krizhevsky et al. 2012; survey: Shorten & Khoshgoftaar 2019"

    def edit(self, picture: Image, rng: Random) -> Moved:
        """One flip."""
        either = rng.choice(("horizontal", "vertical"))
        direction = either if self.direction == "either" else self.direction
        where = geometry.mirror(picture.size, vertical=direction == "vertical")
        return Moved(flipped(picture, direction), where)


def flipped(picture: Image, direction: str) -> Image:
    """The mirrored picture; twice gives the picture back."""
    from PIL.Image import Transpose

    sides = {"horizontal": Transpose.FLIP_LEFT_RIGHT, "vertical": Transpose.FLIP_TOP_BOTTOM}
    return picture.transpose(sides[direction])
