"""A heat map laid over its picture, for a page.

drawn("/pets/cat/1.jpg", heat)  ->  ("data:image/jpeg;base64,...", the same with the map); None where the picture is gone
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from weitiao.data.pictures.opening import Unreadable, opened
from weitiao.data.pictures.thumbnail import as_url

if TYPE_CHECKING:
    from PIL.Image import Image

    from weitiao.evaluate.explain.explanation import Heat

SIDE = 224
"""Pixels of the longer side."""
FOR, AGAINST = (234, 88, 12), (37, 99, 235)
"""Orange and blue, which everybody tells apart."""
COVERS = 0.75
"""How much of the picture the strongest cell hides."""


def drawn(path: str, heat: Heat) -> tuple[str, str] | None:
    """The picture, and the picture with the map."""
    try:
        picture = _sized(opened(path))
    except Unreadable:
        return None
    return as_url(picture, side=SIDE), as_url(laid_over(picture, heat), side=SIDE)


def laid_over(picture: Image, heat: Heat) -> Image:
    """A grey copy of a picture under its map: the stronger a cell, the more of its colour."""
    import numpy as np
    from PIL import Image as pillow

    left, top, right, bottom = (
        round(share * side) for share, side in zip(heat.part, 2 * picture.size, strict=True)
    )
    share_GG = np.asarray(heat.shares, dtype=np.float32)
    size = max(1, right - left), max(1, bottom - top)
    most = float(np.abs(share_GG).max()) or 1.0
    share_HW = np.asarray(pillow.fromarray(share_GG / most).resize(size, pillow.Resampling.BILINEAR))
    laid = picture.convert("L").convert("RGB")  # an orange flower would hide its map
    for sign, colour in ((1, FOR), (-1, AGAINST)):
        cover = pillow.fromarray((np.clip(sign * share_HW, 0, 1) * COVERS * 255).astype(np.uint8))
        laid.paste(pillow.new("RGB", size, colour), (left, top), cover)
    return laid


def _sized(picture: Image) -> Image:
    from PIL.Image import Resampling

    times = SIDE / max(picture.size)
    way = Resampling.NEAREST if times > 1 else Resampling.LANCZOS
    return picture.resize((max(1, round(picture.width * times)), max(1, round(picture.height * times))), way)
