"""The picture of a row: found below the folder of its file, looked at, and known from then on by what was seen.

seen("cat/1.jpg", home="/pets", column="image", repairs=[])
    ->  {"image": "/pets/cat/1.jpg", "sha256": ..., "phash": ..., "width": 640, "height": 480, "light": 0.43, ...}
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from weitiao.core.why import reason
from weitiao.data.formats.convert import Repairs, Unusable
from weitiao.data.formats.turned import IMAGES, local
from weitiao.data.pictured import IMAGE
from weitiao.data.pictures.looks import looked
from weitiao.data.pictures.opening import Unreadable
from weitiao.data.pictures.reference import INLINE, inside

ANYWHERE = os.sep
"""The home of pictures that a user names himself, from where he is."""


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


def seen_turns(values: dict[str, Any], *, home: str, reads: bool, repairs: Repairs) -> dict[str, Any]:
    """A converted row with what was seen of the pictures that its turns show.

    Args:
        values: of the row.
        home: the folder that they must lie below.
        reads: may turns of this format show pictures?
        repairs: hears what is read otherwise than it stands there.

    Raises:
        Unusable: with the reason.
    """
    found = dict(values)
    for column, turns in values.items():
        if not isinstance(turns, list) or not any(_shows(turn) for turn in turns):
            continue
        if not reads:
            raise Unusable(reason("pictures_not_learnt"))
        found[column] = [
            {**turn, IMAGES: [_seen(each, home, repairs) for each in turn[IMAGES]]} if _shows(turn) else turn
            for turn in turns
        ]
    return found


def _shows(turn: Any) -> bool:
    return isinstance(turn, Mapping) and "role" in turn and bool(turn.get(IMAGES))


def _seen(given: Any, home: str, repairs: Repairs) -> dict[str, Any]:
    # Of a row that was asked before, and kept, the picture is known.
    known = given.get(IMAGE) if isinstance(given, Mapping) else None
    picture = local(given if known is None else known)
    if home == ANYWHERE and isinstance(picture, str) and not picture.startswith(INLINE):
        picture = os.path.abspath(picture)
    return seen(picture, home=home, column=IMAGE, repairs=repairs)


def home(file: str) -> str:
    """The folder that a file names its pictures from; of a folder of pictures itself."""
    return file if os.path.isdir(file) else os.path.dirname(file) or "."
