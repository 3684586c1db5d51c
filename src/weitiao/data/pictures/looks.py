"""What is known of a picture beside its label, from one look at it.

    looked("cats/1.jpg")  ->  Look(width=640, height=480, sha256="4f1c...", phash="c3a1...", light=0.43, contrast=0.2, colour=0.1, notes=())

All of it stands in the row from then on: the hash of the file finds copies, that of what is seen (`phash`) what is nearly a copy,
size, light, contrast and colour are what judged rows are sliced by.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.why import reason
from weitiao.data.pictures.opening import Unreadable, colours, first_frame

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

SMALL, KEPT = 32, 8
"""Sides of the grey copy that is hashed, and of the square of its lowest frequencies that is kept."""


@dataclass(frozen=True)
class Look:
    """What was seen."""

    width: int
    """Pixels, upright."""
    height: int
    sha256: str
    """Of the file."""
    phash: str
    """64 bits, hexadecimal: pictures that look alike differ in few of them."""
    light: float
    """Mean of the grey, 0 black to 1 white."""
    contrast: float
    """Standard deviation of the grey, 0 to 0.5."""
    colour: float
    """How far the channels of a pixel are apart, in the mean: 0 of a grey picture, 1 at most."""
    notes: tuple[str, ...] = ()
    """What was made otherwise than it stands in the file."""

    def columns(self) -> dict[str, Any]:
        """As they stand in a row."""
        return {
            "sha256": self.sha256,
            "phash": self.phash,
            "width": self.width,
            "height": self.height,
            "light": self.light,
            "contrast": self.contrast,
            "colour": self.colour,
        }


def looked(path: str) -> Look:
    """Read a picture whole.

    Raises:
        WeitiaoError: `missing_extra`.
        Unreadable: with the reason.
    """
    name = Path(path).name
    with first_frame(path, name) as found:
        frames = getattr(found, "n_frames", 1)
        notes = (reason("first_frame_read", frames=frames),) if frames > 1 else ()
        picture = colours(found)
    try:
        with open(path, "rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise Unreadable(reason("broken_picture", why=error.strerror or name)) from None
    grey_HW = small(picture)
    return Look(
        picture.width,
        picture.height,
        digest,
        phash(grey_HW),
        round(float(grey_HW.mean()) / 255, 4),
        round(float(grey_HW.std()) / 255, 4),
        _colour(picture),
        notes,
    )


def _colour(picture: Image) -> float:
    import numpy as np
    from PIL.Image import Resampling

    copy_HW3 = np.asarray(picture.resize((SMALL, SMALL), Resampling.BILINEAR, reducing_gap=3.0), dtype=float)
    return round(float((copy_HW3.max(2) - copy_HW3.min(2)).mean()) / 255, 4)


def small(picture: Image) -> np.ndarray:
    """A grey copy of 32 x 32 pixels, (32, 32) float64 from 0 to 255."""
    import numpy as np
    from PIL.Image import Resampling

    grey = picture.convert("L").resize((SMALL, SMALL), Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(grey, dtype=np.float64)


def phash(grey_HW: np.ndarray) -> str:
    """Which of the lowest 8 x 8 frequencies lie above their median (Zauner 2010, "Implementation and benchmarking of perceptual
    image hash functions", section 3.2.1), 16 hexadecimal digits.

    Args:
        grey_HW: a grey copy of 32 x 32 pixels.
    """
    import numpy as np

    low_KK = _cosines() @ grey_HW @ _cosines().T
    # The first is the mean grey, which is no form.
    bits = low_KK.ravel() > np.median(low_KK.ravel()[1:])
    return np.packbits(bits).tobytes().hex()


@cache
def _cosines() -> np.ndarray:
    """Rows of the discrete cosine transform (8, 32)."""
    import numpy as np

    frequency_K1, place_1N = np.arange(KEPT)[:, None], np.arange(SMALL)[None]
    return np.cos(np.pi * frequency_K1 * (2 * place_1N + 1) / (2 * SMALL))
