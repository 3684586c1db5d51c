"""What becomes of pictures on their way, by strengths that are fixed: the same ones for every model, whatever it was tuned with.

    damaged(picture, "noise", seed=7)  ->  the same picture with noise

A row may name one in `DAMAGE` (`"noise 7"`): then its picture is damaged whenever it is read, and no file is written.
Kinds are those of Hendrycks & Dietterich 2019, arXiv 1903.12261, with Pillow and NumPy alone; one strength each.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

DAMAGE = "damage"
"""The column of a row that says how its picture is damaged: a name of `KINDS` and a seed."""
NOISE = 0.1
"""Standard deviation of the noise, of the whole range of a channel."""
BLUR = 0.02
"""Radius of the blur, of the longer side."""
DARKER, BRIGHTER, FAINTER = 0.6, 1.4, 0.5
"""What every channel is multiplied by; what its distance from the mean grey is multiplied by."""
DEGREES = 15.0
QUALITY = 15
"""Of JPEG."""
SMALLER = 0.5
"""Sides of the copy that is enlarged again."""
CLOSER = 0.8
"""Share of each side that stays, around the middle."""


@dataclass(frozen=True)
class Kind:
    """One way to damage a picture."""

    change: Callable[[Image, int], Image]
    """Picture and seed -> the damaged picture."""
    moves: bool = False
    """Do things lie elsewhere in it afterwards?"""


def noise(picture: Image, seed: int) -> Image:
    """Normal noise on every channel of every pixel."""
    import numpy as np
    from PIL import Image as pillow

    pixels_HW3 = np.asarray(picture, dtype=np.float32)
    drawn_HW3 = np.random.default_rng(seed).standard_normal(pixels_HW3.shape, dtype=np.float32)
    return pillow.fromarray((pixels_HW3 + 255 * NOISE * drawn_HW3).round().clip(0, 255).astype(np.uint8))


def blur(picture: Image, seed: int) -> Image:
    """A Gaussian blur."""
    from PIL import ImageFilter

    return picture.filter(ImageFilter.GaussianBlur(BLUR * max(picture.size)))


def lit(times: float) -> Callable[[Image, int], Image]:
    """Every channel so many times as bright."""
    return lambda picture, seed: picture.point([min(255, round(shade * times)) for shade in range(256)] * 3)


def fainter(picture: Image, seed: int) -> Image:
    """Less contrast."""
    from PIL import ImageEnhance

    return ImageEnhance.Contrast(picture).enhance(FAINTER)


def grey(picture: Image, seed: int) -> Image:
    """Without its colours."""
    return picture.convert("L").convert("RGB")


def rotated(picture: Image, seed: int) -> Image:
    """Turned to one side or the other; what comes in has the mean colour."""
    from PIL import ImageStat
    from PIL.Image import Resampling

    mean = tuple(round(shade) for shade in ImageStat.Stat(picture).mean)
    degrees = DEGREES if seed % 2 else -DEGREES
    return picture.rotate(degrees, resample=Resampling.BICUBIC, fillcolor=mean)


def jpeg(picture: Image, seed: int) -> Image:
    """Written as JPEG of low quality, and read again."""
    from PIL import Image as pillow

    held = io.BytesIO()
    picture.save(held, "JPEG", quality=QUALITY)
    return pillow.open(held).convert("RGB")


def coarse(picture: Image, seed: int) -> Image:
    """Made smaller, and as large as before again."""
    from PIL.Image import Resampling

    small = tuple(max(1, round(side * SMALLER)) for side in picture.size)
    return picture.resize((small[0], small[1]), Resampling.BOX).resize(picture.size, Resampling.BILINEAR)


def closer(picture: Image, seed: int) -> Image:
    """The middle, as large as the whole was."""
    from PIL.Image import Resampling

    width, height = picture.size
    gone = (1 - CLOSER) / 2
    box = (width * gone, height * gone, width * (1 - gone), height * (1 - gone))
    return picture.resize(picture.size, Resampling.BILINEAR, box=box)


KINDS = {
    "noise": Kind(noise),
    "blur": Kind(blur),
    "darker": Kind(lit(DARKER)),
    "brighter": Kind(lit(BRIGHTER)),
    "fainter": Kind(fainter),
    "grey": Kind(grey),
    "rotated": Kind(rotated, moves=True),
    "jpeg": Kind(jpeg),
    "coarse": Kind(coarse),
    "closer": Kind(closer, moves=True),
}


def damaged(picture: Image, said: str) -> Image:
    """A picture as a row's `DAMAGE` says.

    Args:
        picture: RGB.
        said: a name of `KINDS` and a seed, such as `noise 7`.
    """
    name, _, seed = said.partition(" ")
    return KINDS[name].change(picture, int(seed))
