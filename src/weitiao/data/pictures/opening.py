"""A picture as every task reads it: upright, RGB, 8 bits a channel.

    opened("cats/1.jpg")  ->  PIL.Image, mode RGB        Unreadable: why it cannot be
    colours(picture)      ->  the same of a picture in memory

| it is                       | it becomes                                                                       |
| turned by a note (EXIF)     | upright                                                                          |
| grey, black and white       | the same grey in three channels                                                  |
| a palette                   | its colours                                                                      |
| transparent                 | laid on white                                                                    |
| CMYK, YCbCr, LAB, HSV       | RGB, by Pillow's plain conversion (no colour profile is applied)                 |
| grey of 16 bits             | its upper 8 bits                                                                 |
| several frames              | the first one                                                                    |
| of more than MOST pixels, of floating numbers, broken, cut off      | refused: `Unreadable`                    |
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from weitiao.core.errors import fault, need
from weitiao.core.why import reason

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff"})
"""Of files that are taken for pictures."""
MOST = 89_478_485
"""Pixels of a picture, at most: from here on Pillow warns of a bomb (a few bytes that unpack to gigabytes)."""
DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")
WHITE = (255, 255, 255, 255)
ONE_BY_ONE = Lock()
"""Headers are read one after the other: what Python warns of is a setting that all threads share."""


class Unreadable(Exception):
    """Why a picture cannot be used, in the reader's language."""


def opened(path: str | Path) -> Image:
    """The picture of a file.

    Raises:
        WeitiaoError: `missing_extra`.
        Unreadable: there is none, or none that can be read.
    """
    return _read(path, Path(path).name)


def still(path: str) -> Image:
    """The picture of a row that was looked at when rows were checked.

    Raises:
        WeitiaoError: `picture_gone`.
    """
    try:
        return opened(path)
    except Unreadable as error:
        raise fault("picture_gone", path=path, why=error) from None


def unpacked(content: bytes) -> Image:
    """The picture of a file's bytes; raises as `opened`."""
    return _read(io.BytesIO(content), reason("these_bytes"))


def _read(source: str | Path | io.BytesIO, name: str) -> Image:
    with first_frame(source, name) as picture:
        return colours(picture)


def first_frame(source: str | Path | io.BytesIO, name: str) -> Image:
    """A picture whose header was read, and found to be none of those that are refused; its pixels are not read yet.

    Raises:
        Unreadable: as `opened`.
    """
    need("PIL", extra="vision")
    from PIL import Image as pillow

    # A pipe would be waited for, and a device read for ever.
    if not isinstance(source, io.BytesIO) and not Path(source).is_file():
        raise Unreadable(reason("picture_missing", path=source))
    try:
        # Pillow warns of what is refused by name below.
        with ONE_BY_ONE, warnings.catch_warnings():
            warnings.simplefilter("ignore", pillow.DecompressionBombWarning)
            found = pillow.open(source)
    except pillow.DecompressionBombError:
        raise Unreadable(reason("picture_too_large", most=f"{MOST:,}")) from None
    except Exception as error:  # of a broken header Pillow raises nearly anything, SyntaxError among it
        raise Unreadable(reason("broken_picture", why=_short(error, source, name))) from None
    if found.width * found.height > MOST:
        found.close()
        raise Unreadable(reason("picture_too_large", most=f"{MOST:,}"))
    if found.mode == "F":
        found.close()
        raise Unreadable(reason("picture_of_floats"))
    return found


def colours(picture: Image) -> Image:
    """A picture of any mode upright and in RGB; a new one, whatever was given.

    Raises:
        Unreadable: its pixels cannot be read.
    """
    from PIL import Image as pillow
    from PIL import ImageOps

    try:
        # Cameras write how they were held beside the pixels.
        picture = ImageOps.exif_transpose(picture)
        if picture.mode in DEEP:
            return _eight_bits(picture).convert("RGB")
        if picture.has_transparency_data:
            clear = picture.convert("RGBA")
            return pillow.alpha_composite(pillow.new("RGBA", clear.size, WHITE), clear).convert("RGB")
        return picture.convert("RGB")
    except Unreadable:
        raise
    except Exception as error:  # as above, of broken pixels
        raise Unreadable(reason("broken_picture", why=_short(error, None, ""))) from None


def _eight_bits(picture: Image) -> Image:
    """Grey of 16 bits as grey of 8: 65535 becomes 255."""
    import numpy as np
    from PIL import Image as pillow

    grey_HW = np.asarray(picture)
    if grey_HW.min() < 0 or grey_HW.max() > 0xFFFF:
        raise Unreadable(reason("picture_of_floats"))
    return pillow.fromarray((grey_HW.astype(np.uint16) >> 8).astype(np.uint8))


def _short(error: Exception, source: object, name: str) -> str:
    said = str(error) or type(error).__name__
    return said.replace(str(source), name) if name else said
