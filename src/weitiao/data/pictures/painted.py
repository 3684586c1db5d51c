"""Pictures with masks laid over them, for whoever looks: what is there, and what was found.

picture, [mask, mask]  ->  painted(...)  ->  a picture with each mask on a copy, side by side, and the names of the colours below

What nobody knows of stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from weitiao.data.pictures import masks
from weitiao.data.pictures.drawn import LEAST, named

if TYPE_CHECKING:
    from PIL.Image import Image

Colours: TypeAlias = Mapping[str, tuple[int, int, int]]
SHADE, EDGE = 0.5, 0.95
"""How much of the colour of a label is in a pixel, and in one at the edge of another label."""
BETWEEN = 4
"""Pixels between two copies."""


def painted(picture: Image, found: Sequence[Mapping[str, Any]], *, side: int | None = None) -> Image:
    """Copies side by side; of a small picture enlarged ones.

    Args:
        picture: RGB.
        found: masks of it, one a copy.
        side: pixels of the longer side of a copy, at most; None: as many as the picture has.
    """
    from PIL import Image

    colours = masks.colours(label for mask in found for label in mask["labels"])
    copies = [_sized(_laid(picture, mask, colours), side) for mask in found]
    wide, high = copies[0].size
    there = {label: colours[label] for mask in found for label in _there(mask)}
    names = _names(there, len(copies) * (wide + BETWEEN) - BETWEEN)
    whole = Image.new("RGB", (names.width, high + names.height), "white")
    for number, copy in enumerate(copies):
        whole.paste(copy, (number * (wide + BETWEEN), 0))
    whole.paste(names, (0, high))
    return whole


def _there(mask: Mapping[str, Any]) -> list[str]:
    import numpy as np

    places = np.unique(masks.read(mask))
    return [mask["labels"][place] for place in places[places >= 0].tolist()]


def _laid(picture: Image, mask: Mapping[str, Any], colours: Colours) -> Image:
    import numpy as np
    from PIL import Image

    index_HW = masks.read(mask)
    shade_L3 = np.array([colours[label] for label in mask["labels"]] or [(0, 0, 0)], dtype=float)
    shades = np.asarray(picture, dtype=float)
    edge_HW = np.zeros(index_HW.shape, dtype=bool)
    for axis in (0, 1):
        changes = np.diff(index_HW, axis=axis) != 0
        edge_HW |= np.pad(changes, [(0, 1) if side == axis else (0, 0) for side in (0, 1)])
    share_HW1 = np.where(index_HW < 0, 0.0, np.where(edge_HW, EDGE, SHADE))[..., None]
    laid = (1 - share_HW1) * shades + share_HW1 * shade_L3[index_HW]
    return Image.fromarray(laid.round().astype(np.uint8))


def _sized(picture: Image, side: int | None) -> Image:
    from PIL.Image import Resampling

    longest = max(picture.size)
    if longest < LEAST:
        times = -(-LEAST // longest)
        return picture.resize((picture.width * times, picture.height * times), Resampling.NEAREST)
    if side:
        picture.thumbnail((side, side))
    return picture


def _names(colours: Colours, width: int) -> Image:
    """A strip with the colour and the name of each label, as many lines high as it takes."""
    from PIL import Image, ImageDraw, ImageFont

    size = max(12, width // 30)
    font = ImageFont.load_default(size)
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    high, placed, x, y = int(size * 1.5), [], 0.0, 0
    for number, label in enumerate(sorted(colours), start=1):
        text = named({"label": label}, number)
        wide = pen.textlength(text, font=font) + 1.8 * high
        if x and x + wide > width:
            x, y = 0.0, y + high
        placed.append((x, y, text, colours[label]))
        x += wide
    strip = Image.new("RGB", (width, y + high if placed else 0), "white")
    pen = ImageDraw.Draw(strip)
    for x, y, text, colour in placed:
        pen.rectangle((x + 4, y + 4, x + high - 4, y + high - 4), fill=colour)
        pen.text((x + high, y + high / 2), text, fill="black", font=font, anchor="lm")
    return strip
