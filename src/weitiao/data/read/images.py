"""A folder of pictures in, one record a picture out; no picture is opened here, but all are hashed.

pictures/cat/1.png, pictures/dog/7.jpg      ->  Record(line=1, {"image": "cat/1.png", "label": "cat"}) ...
images/1.png, masks/1.png                   ->  pictures and their masks (`read.masks`)
pictures/1.png, pictures/metadata.csv       ->  the rows of that table, whose `file_name` is `image`; so of metadata.jsonl
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.data.pictures.opening import ENDINGS
from weitiao.data.read.boxes.voc import read_voc
from weitiao.data.read.boxes.yolo import read_yolo
from weitiao.data.read.masks import read_masks
from weitiao.data.read.source import BadRow, Source, shown
from weitiao.data.read.text import file_sha256

TABLES = ("metadata.jsonl", "metadata.csv", "_annotations.coco.json")
"""What names the pictures of a folder, as Hugging Face's `imagefolder` has it, or Roboflow beside COCO's boxes."""
FILE_NAME = "file_name"


def read_images(folder: Path, *, table: Callable[[Path], Source], format: str = "auto") -> Source:
    """Open a folder with one folder a label in it, or with a table of its pictures; without a table the line of a picture is its
    place in sorted order, from 1.

    The hash is of all files, names and contents.

    Args:
        folder: of the pictures.
        table: opens the table, where there is one.
        format: the recipe's `data.format`; `voc`, `yolo`, `maskfolder` and `imagefolder` say what the pictures are.

    Raises:
        WeitiaoError: `folder_for_rows` when no picture is in it; `no_permission`; what `table` raises.
    """
    files, hidden = _files(folder)
    pictures = [file for file in files if Path(file).suffix.lower() in ENDINGS]
    if not pictures:
        raise fault("folder_for_rows", path=folder)
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file}\0{_hash(folder / file)}\n".encode("utf-8", "surrogateescape"))
    notes = (reason("hidden_files", count=hidden),) if hidden else ()
    if named := next((name for name in TABLES if name in files), ""):
        found = _named(table(folder / named), pictures)
        return replace(found, sha256=digest.hexdigest(), notes=(*notes, *found.notes))
    masked = partial(read_masks, asked=format == "maskfolder")
    reads: dict[str, Callable[..., Source | None]] = {
        "voc": read_voc,
        "maskfolder": masked,
        "yolo": read_yolo,
    }
    known: dict[str, dict[str, Any]] = {"imagefolder": {}} | {
        name: {name: each} for name, each in reads.items()
    }
    for read in known.get(format, reads).values():
        if boxed := read(folder, files, digest.hexdigest()):
            return replace(boxed, notes=(*notes, *boxed.notes))

    def rows() -> Iterator[Record | BadRow]:
        for number, file in enumerate(files, start=1):
            label, _, rest = file.partition("/")
            if why := _fault(file, rest):
                yield BadRow(str(folder), number, f"{shown(file)}: {why}", shown(file))
            else:
                yield Record(str(folder), number, {"image": file, "label": label})

    return Source(str(folder), "images", "", digest.hexdigest(), ["image", "label"], rows, notes)


def _hash(path: Path) -> str:
    """Of its content; of a link that leads nowhere, of a pipe or a device nothing: whoever opens it says so."""
    return file_sha256(path) if path.is_file() else ""


def _fault(file: str, rest: str) -> str:
    """Why a file is no labelled picture, by its name alone; empty when it may be one."""
    if shown(file) != file:
        return reason("name_not_utf8")
    if Path(file).suffix.lower() not in ENDINGS:
        return reason("no_picture")
    return "" if rest else reason("no_label_folder")


def _named(source: Source, pictures: list[str]) -> Source:
    """A table of pictures, with those told that it does not name."""

    def ours(name: str) -> str:
        return "image" if name == FILE_NAME and "image" not in source.columns else name

    def rows() -> Iterator[Record | BadRow]:
        for row in source.rows():
            if isinstance(row, Record):
                row = replace(row, values={ours(name): value for name, value in row.values.items()})
            yield row

    named = {os.path.normpath(str(row.values.get("image"))) for row in rows() if isinstance(row, Record)}
    left = sum(file not in named for file in pictures)
    name = Path(source.path).name
    notes = (*source.notes, reason("rows_without_pictures", count=left, name=name)) if left else source.notes
    return replace(source, columns=[ours(name) for name in source.columns], rows=rows, notes=notes)


def _files(folder: Path) -> tuple[list[str], int]:
    """All files below, as sorted paths with slashes, and how many hidden ones were passed over."""
    found, hidden = [], 0
    for here, folders, files in os.walk(folder):
        hidden += sum(name.startswith(".") for name in [*folders, *files])
        folders[:] = [name for name in folders if not name.startswith(".")]
        place = Path(here).relative_to(folder)
        found += [(place / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(found), hidden
