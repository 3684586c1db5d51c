"""Where the picture of a row lies, as the row says it, and whether it may be read.

    inside("cats/1.jpg", home="/data/pets")   ->  "/data/pets/cats/1.jpg"
    inside("../../other.png", ...)            ->  Unreadable: it lies outside of /data/pets
    inside(b"\x89PNG...", ...)                ->  ~/.cache/weitiao/pictures/4f1c...png, where the bytes are kept

A table that came from somewhere may name any file of this machine; what lies outside of its folder, links followed, is read only
where `data.pictures` names a folder that holds it.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from weitiao.core.files import cache_dir, disk
from weitiao.core.why import reason
from weitiao.data.pictures.opening import ENDINGS, Unreadable, first_frame

INLINE = "data:image/"


def inside(given: Any, home: str | Path) -> str:
    """The absolute path of a picture.

    Args:
        given: a path (from `home` on, or absolute), the bytes of a file, a `data:` URL, Hugging Face's `{"bytes", "path"}`, or a
            picture of Pillow's.
        home: the folder that pictures lie below.

    Raises:
        Unreadable: it is none of these, or lies elsewhere.
    """
    if isinstance(given, Mapping) and {"bytes", "path"} & given.keys():
        content = given.get("bytes")
        given = content if content is not None else given.get("path")
    if isinstance(given, bytes | bytearray | memoryview):
        return kept(bytes(given))
    if isinstance(given, str) and given.startswith(INLINE):
        return kept(_inline(given))
    if hasattr(given, "save") and hasattr(given, "mode"):
        return kept(_as_png(given))
    if given is None:
        raise Unreadable(reason("image_missing"))
    if not isinstance(given, str | os.PathLike) or not str(given).strip():
        raise Unreadable(reason("no_picture_named"))
    found, root = os.path.join(home, given), os.path.realpath(home)
    if "\0" in found or os.path.commonpath([root, os.path.realpath(found)]) != root:
        raise Unreadable(reason("picture_outside", path=given, home=home))
    return os.path.abspath(found)


def filed(url: str, below: Path) -> str:
    """A picture that was sent as a `data:` URL, as a file below a folder that its asker gives up again.

    Raises:
        Unreadable: it is no picture.
    """
    return kept(_inline(url), below)


def kept(content: bytes, below: Path | None = None) -> str:
    """Where the bytes of a picture lie from now on: by their hash, so that the same ones lie there once.

    Args:
        content: the bytes of a file.
        below: the folder; None: that of all pictures which came without one, in the cache.

    Raises:
        Unreadable: they are no picture.
    """
    with first_frame(io.BytesIO(content), reason("these_bytes")) as picture:
        ending = f".{(picture.format or 'png').lower()}"
    name = sha256(content).hexdigest() + (ending if ending in ENDINGS else ".png")
    path = (below or cache_dir() / "pictures") / name[:2] / name
    if not path.is_file():
        with disk(path, needed_bytes=len(content)):
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{name}.{os.getpid()}")
            aside.write_bytes(content)
            os.replace(aside, path)
    return str(path)


def _inline(url: str) -> bytes:
    try:
        return base64.b64decode(url.partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable(reason("no_base64")) from None


def _as_png(picture: Any) -> bytes:
    held = io.BytesIO()
    picture.save(held, "PNG")
    return held.getvalue()
