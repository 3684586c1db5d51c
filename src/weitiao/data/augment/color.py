"""Colour: a picture brighter or darker, flatter or harsher, paler or richer.

each factor ~ uniform(1 - x, 1 + x): brightness scales the pixels, contrast their distance from the mean grey,
saturation their distance from the grey picture
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

from pydantic import Field

from weitiao.core.registry import register
from weitiao.data.augment.pictures import PictureChanges
from weitiao.data.pictures import geometry
from weitiao.data.pictures.geometry import Moved

if TYPE_CHECKING:
    from PIL.Image import Image

Strength: TypeAlias = Annotated[float, Field(ge=0, le=1)]


@register("augmentation", "color")
@dataclass(frozen=True, kw_only=True)
class Color(PictureChanges):
    """Pictures in another light; not where the colour is the label."""

    brightness: Strength = 0.2
    """Largest change of brightness, as a share."""
    contrast: Strength = 0.2
    """Largest change of contrast, as a share."""
    saturation: Strength = 0.2
    """Largest change of saturation, as a share; a grey picture has none."""

    summary: ClassVar[str] = "pictures in another light"
    source: ClassVar[str] = "Howard 2013, arXiv 1312.5402"

    def edit(self, picture: Image, rng: Random) -> Moved:
        """Three factors."""
        strengths = (self.brightness, self.contrast, self.saturation)
        factors = [rng.uniform(1 - strength, 1 + strength) for strength in strengths]
        return Moved(recolored(picture, *factors), geometry.stay())


def recolored(picture: Image, brightness: float, contrast: float, saturation: float) -> Image:
    """The picture with three factors, 1.0 each leaving it as it is; transparency stays."""
    from PIL import ImageEnhance

    changed = picture.convert("RGB") if picture.mode == "RGBA" else picture
    changed = ImageEnhance.Brightness(changed).enhance(brightness)
    changed = ImageEnhance.Contrast(changed).enhance(contrast)
    if picture.mode != "L":
        changed = ImageEnhance.Color(changed).enhance(saturation)
    if picture.mode == "RGBA":
        changed.putalpha(picture.getchannel("A"))
    return changed
