"""The picture of a row: found below the folder of its file, looked at, and known from then on by what was seen.

seen("cat/1.jpg", home="/pets", column="image", repairs=[])
    ->  {"image": "/pets/cat/1.jpg", "sha256": ..., "phash": ..., "width": 640, "height": 480, "light": 0.43, ...}
"""

from __future__ import annotations

import os
from typing import Any

from weitiao.data.formats.convert import Repairs, Unusable
from weitiao.data.pictures.looks import looked
from weitiao.data.pictures.opening import Unreadable
from weitiao.data.pictures.reference import inside


def seen(given: Any, *, home: str, column: str, repairs: Repairs) -> dict[str, Any]:
    """What a row holds of its picture.

    Args:
        given: as `pictures.reference.inside` takes it.
        home: the folder that it must lie below.
        column: that it came in, and stays in.
        repairs: hears what is read otherwise than it stands there.

    Raises:
        WeitiaoError: `missing_extra`.
        Unusable: with the reason.
    """
    try:
        path = inside(given, home)
        look = looked(path)
    except Unreadable as error:
        # A folder's rows know their place in it alone.
        raise Unusable(f"{given}: {error}" if isinstance(given, str) else str(error)) from None
    repairs += look.notes
    return {column: path, **look.columns()}


def home(file: str) -> str:
    """The folder that a file names its pictures from; of a folder of pictures itself."""
    return file if os.path.isdir(file) else os.path.dirname(file) or "."
