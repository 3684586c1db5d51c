"""Rotation: a picture turned a little, or by right angles.

angle ~ uniform(-degrees, degrees), corners filled with black; or one of 90, 180 and 270 degrees, which is exact
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from weitiao.core.registry import register
from weitiao.data.augment.pictures import PictureChanges
from weitiao.data.pictures import geometry
from weitiao.data.pictures.geometry import Moved

if TYPE_CHECKING:
    from PIL.Image import Image


@register("augmentation", "rotate")
@dataclass(frozen=True, kw_only=True)
class Rotate(PictureChanges):
    """Turned pictures."""

    degrees: Annotated[float, Field(gt=0, le=180)] = 15.0
    """Largest angle, to either side; the picture keeps its size."""
    right_angles: bool = False
    """Turn by 90, 180 or 270 degrees instead (aerial and microscope pictures); width and height may change places."""

    summary: ClassVar[str] = "turned pictures"
    source: ClassVar[str] = "survey: Shorten & Khoshgoftaar 2019"

    def edit(self, picture: Image, rng: Random) -> Moved:
        """One turn."""
        angle = rng.choice((90, 180, 270)) if self.right_angles else rng.uniform(-self.degrees, self.degrees)
        return Moved(rotated(picture, angle), geometry.turn(picture.size, angle))


def rotated(picture: Image, degrees: float) -> Image:
    """The picture turned counter-clockwise; whole quarter turns move pixels without blending them."""
    from PIL.Image import Resampling, Transpose

    quarters = {90: Transpose.ROTATE_90, 180: Transpose.ROTATE_180, 270: Transpose.ROTATE_270}
    if degrees in quarters:
        return picture.transpose(quarters[int(degrees)])
    return picture.rotate(degrees, resample=Resampling.BICUBIC)
