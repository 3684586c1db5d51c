"""A folder of pictures in, one record a picture out.

pictures/cat/1.png, pictures/dog/7.jpg  ->  Record(line=1, {"image": "pictures/cat/1.png", "label": "cat"}) ...
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from weitiao.core.contracts import Record
from weitiao.core.errors import fault, need
from weitiao.core.why import reason
from weitiao.data.read.source import BadRow, Source, shown
from weitiao.data.read.text import file_sha256

ENDINGS = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff"}


def read_images(folder: Path) -> Source:
    """Open a folder with one folder a label in it; the line of a picture is its place in sorted order, from 1.

    The hash is of all files, names and contents.

    Raises:
        WeitiaoError: `missing_extra`; `folder_for_rows` when no picture is in it; `no_permission`.
    """
    files, hidden = _files(folder)
    if not any(Path(file).suffix.lower() in ENDINGS for file in files):
        raise fault("folder_for_rows", path=folder)
    need("PIL", extra="data")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file}\0{file_sha256(folder / file)}\n".encode("utf-8", "surrogateescape"))

    def rows() -> Iterator[Record | BadRow]:
        for number, file in enumerate(files, start=1):
            label, _, rest = file.partition("/")
            why = reason("name_not_utf8") if shown(file) != file else _fault(folder / file)
            if why or not rest:
                why = why or reason("no_label_folder")
                yield BadRow(str(folder), number, f"{shown(file)}: {why}", shown(file))
            else:
                yield Record(str(folder), number, {"image": str(folder / file), "label": label})

    notes = (reason("hidden_files", count=hidden),) if hidden else ()
    return Source(str(folder), "images", "", digest.hexdigest(), ["image", "label"], rows, notes)


def _files(folder: Path) -> tuple[list[str], int]:
    """All files below, as sorted paths with slashes, and how many hidden ones were passed over."""
    found, hidden = [], 0
    for here, folders, files in os.walk(folder):
        hidden += sum(name.startswith(".") for name in [*folders, *files])
        folders[:] = [name for name in folders if not name.startswith(".")]
        place = Path(here).relative_to(folder)
        found += [(place / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(found), hidden


def _fault(path: Path) -> str:
    """Why a file is no picture that can be used; empty when it is one."""
    from PIL import Image

    if path.suffix.lower() not in ENDINGS:
        return reason("no_picture")
    try:
        with Image.open(path) as image:
            image.verify()
        # `verify` does not see that the end of a JPEG is missing; reading it small does, and costs little.
        with Image.open(path) as image:
            image.draft("RGB", (32, 32))
            image.load()
    except Exception as error:  # a broken picture makes Pillow raise nearly anything, SyntaxError among it
        return reason("broken_picture", why=str(error).replace(str(path), path.name))
    return ""
