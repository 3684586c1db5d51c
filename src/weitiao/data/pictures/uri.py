"""A picture as a text, as a page and a line of predictions hold it.

picture  ->  written  ->  "data:image/png;base64,iVBORw0..."  ->  read  ->  picture
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

URI = "data:image/png;base64,"


def written(picture: Image) -> str:
    """A picture as a page holds it."""
    held = io.BytesIO()
    picture.save(held, format="PNG")
    return URI + base64.b64encode(held.getvalue()).decode()


def read(uri: str) -> Image:
    """The picture of `written`."""
    from PIL import Image

    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix(URI))))
