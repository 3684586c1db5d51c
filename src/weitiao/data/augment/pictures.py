"""A picture in, a changed picture in a file of its own out.

    Record {image: cats/1.jpg}  ->  by_picture(edit, ...)  ->  {image: <folder>/4f1c...png, sha256: ...}

The made file is named by its content, so that making it twice gives one file.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, TypeAlias, cast

from weitiao.core.contracts import Record
from weitiao.core.errors import fault, need
from weitiao.data.augment import Change, Helpers, Values

if TYPE_CHECKING:
    from PIL.Image import Image

EditPicture: TypeAlias = "Callable[[Image, Random], Image]"
KEPT_MODES = ("L", "RGB", "RGBA")


def opened(record: Record) -> Image:
    """The upright picture of a row, in grey, RGB or RGBA.

    Raises:
        WeitiaoError: `missing_extra`; `unreadable_picture` with the row.
    """
    need("PIL", extra="data")
    from PIL import Image as pillow
    from PIL import ImageOps

    path = record.values["image"]
    try:
        with pillow.open(path) as picture:
            # Cameras write how they were held beside the pixels; a changed copy must not be turned twice.
            upright = ImageOps.exif_transpose(picture)
            mode = upright.mode if upright.mode in KEPT_MODES else "RGB"
            return upright.convert("RGBA" if "transparency" in upright.info else mode)
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        raise fault("unreadable_picture", place=record.place, path=path, why=error) from error


def by_picture(edit: EditPicture, helpers: Helpers) -> Change:
    """What changes the picture of a row by `edit` and writes it as PNG into `helpers.folder`."""
    folder = cast(Path, helpers.folder)  # `needs` has asked for it

    def change(records: Sequence[Record], rngs: Sequence[Random]) -> list[list[Values]]:
        return [_changed(edit, record, rng, folder) for record, rng in zip(records, rngs, strict=True)]

    return change


def _changed(edit: EditPicture, record: Record, rng: Random, folder: Path) -> list[Values]:
    picture = opened(record)
    made = edit(picture, rng)
    if made.size == picture.size and made.tobytes() == picture.tobytes():
        return []
    held = io.BytesIO()
    made.save(held, "PNG")
    content = sha256(held.getvalue()).hexdigest()
    path = folder / f"{content[:16]}.png"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(held.getvalue())
    return [{**record.values, "image": str(path), "sha256": content}]
