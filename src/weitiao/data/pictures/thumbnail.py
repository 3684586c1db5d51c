"""A small copy of a picture in a page: no file beside the page, and no more than a few kilobytes in it.

thumbnail("/pets/cat/1.jpg")  ->  "data:image/jpeg;base64,..."      empty where the picture is gone or broken
strip(["1.jpg", "2.jpg"])     ->  the same of several beside each other
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from weitiao.data.pictures.opening import Unreadable, opened

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 160
"""Pixels of the longer side, at most."""
GAP = 4
"""Pixels between copies that stand beside each other."""
SMALL = 96
"""A picture whose longer side is shorter is shown so large, each pixel a square."""


def thumbnail(path: str, *, side: int = SIDE, drawn: Callable[[Image], Image] | None = None) -> str:
    """The copy of the picture of a file as a `data:` URL.

    Args:
        path: of the file.
        side: pixels of the copy's longer side, at most.
        drawn: what is drawn on the picture, and how large it is then.
    """
    try:
        picture = opened(path)
    except Unreadable:
        return ""
    if drawn:
        picture = drawn(picture)
        side = max(picture.size)
    return as_url(picture, side=side)


def strip(paths: Sequence[str], *, side: int = SIDE) -> str:
    """Copies of several pictures beside each other, as one; those that are gone or broken are left out."""
    from PIL import Image as pillow

    found = []
    for path in paths:
        with suppress(Unreadable):
            found.append(opened(path))
    if len(found) < 2:
        return as_url(found[0], side=side) if found else ""
    for picture in found:
        picture.thumbnail((side, side))
    width, height = sum(each.width + GAP for each in found) - GAP, max(each.height for each in found)
    whole, left = pillow.new("RGB", (width, height), (255, 255, 255)), 0
    for picture in found:
        whole.paste(picture, (left, 0))
        left += picture.width + GAP
    return as_url(whole, side=width)


def as_url(picture: Image, *, side: int = SIDE) -> str:
    """The copy of an RGB picture as a `data:` URL."""
    from PIL.Image import Resampling

    longest = max(picture.size)
    if longest < SMALL:
        times = SMALL // longest
        picture = picture.resize((picture.width * times, picture.height * times), Resampling.NEAREST)
    elif longest > side:
        picture = picture.copy()
        picture.thumbnail((side, side))
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode("ascii")
