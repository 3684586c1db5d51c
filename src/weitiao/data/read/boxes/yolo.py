"""A folder of YOLO's texts in, one record a picture out.

    images/train/1.jpg, labels/train/1.txt: "0 0.5 0.5 0.2 0.1" a line: class, cx, cy, width, height in shares of the picture

The names of the classes stand in `data.yaml` (`names`, a list or numbered) or `classes.txt`.  A picture without a text has
nothing in it, as YOLO takes it.  Of outlines (a class and more than four numbers) the box around them is taken.  The line of a row
is the place of its picture in sorted order, from 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from weitiao.core.contracts import Record
from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.data.pictures.opening import ENDINGS
from weitiao.data.read.source import BadRow, Source

TABLES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
CLASSES = ("classes.txt", "obj.names")


def read_yolo(folder: Path, files: list[str], sha256: str) -> Source | None:
    """Open a folder with the names of classes in it; None where there are none.

    Args:
        folder: what to read.
        files: all files below it, with slashes, in order.
        sha256: of all of them.

    Raises:
        WeitiaoError: `bad_file` when the names cannot be read.
    """
    names = _names(folder, files)
    if names is None:
        return None
    there = set(files)
    pictures = [file for file in files if Path(file).suffix.lower() in ENDINGS]
    texts = {_text(picture, there) for picture in pictures}
    alone = [
        file for file in files if file.endswith(".txt") and "labels" in Path(file).parts and file not in texts
    ]

    def rows() -> Iterator[Record | BadRow]:
        for line, picture in enumerate(pictures, start=1):
            yield _row(folder, picture, _text(picture, there), line, names)
        for line, file in enumerate(alone, start=len(pictures) + 1):
            yield BadRow(str(folder), line, reason("yolo_no_picture", file=file), file)

    notes = (reason("lines_are_files"),)
    return Source(str(folder), "YOLO", "", sha256, ["image", "objects"], rows, notes)


def _names(folder: Path, files: list[str]) -> dict[int, str] | None:
    for name in (*TABLES, *CLASSES):
        if name not in files:
            continue
        try:
            text = (folder / name).read_text(encoding="utf-8-sig")
            found = yaml.safe_load(text) if name in TABLES else text.splitlines()
        except (OSError, ValueError, yaml.YAMLError) as error:
            why = str(error).partition("\n")[0]
            raise fault("bad_file", path=folder / name, format="YOLO", why=why) from None
        if name in TABLES:
            found = found.get("names") if isinstance(found, Mapping) else None
        if isinstance(found, Mapping):
            return {int(number): str(each) for number, each in found.items() if str(number).isdigit()}
        if isinstance(found, list):
            return {number: str(each).strip() for number, each in enumerate(found) if str(each).strip()}
    return None


def _text(picture: str, there: set[str]) -> str:
    """The text of a picture: `labels` in place of the last `images`, or beside it; empty where there is none."""
    parts = list(Path(picture).with_suffix(".txt").parts)
    tried = ["/".join(parts)]
    if "images" in parts[:-1]:
        at = len(parts) - 1 - parts[::-1].index("images")
        tried.insert(0, "/".join([*parts[:at], "labels", *parts[at + 1 :]]))
    return next((one for one in tried if one in there), "")


def _row(folder: Path, picture: str, text: str, line: int, names: Mapping[int, str]) -> Record | BadRow:
    objects: list[dict[str, Any]] = []
    try:
        lines = (folder / text).read_text(encoding="utf-8-sig").splitlines() if text else []
    except (OSError, ValueError) as error:
        return BadRow(str(folder), line, f"{text}: {error}", picture)
    for number, said in enumerate(lines, start=1):
        if not said.strip():
            continue
        try:
            kind, *numbers = (float(part) for part in said.split())
        except ValueError:
            kind, numbers = math.nan, []
        share = _share(numbers)
        if share is None or kind not in names:
            code = "yolo_no_box" if share is None else "yolo_no_class"
            known = f"{min(names)}-{max(names)}" if names else "-"
            why = reason(code, file=text, line=number, said=said.strip()[:60], known=known)
            return BadRow(str(folder), line, why, picture)
        objects.append({"label": names[int(kind)], "share": share})
    return Record(str(folder), line, {"image": picture, "objects": objects})


def _share(numbers: list[float]) -> list[float] | None:
    """[cx, cy, width, height]; of an outline x, y, x, y ... the box around it; None where it is neither."""
    if not all(map(math.isfinite, numbers)):
        return None
    if len(numbers) == 4:
        return numbers
    if len(numbers) < 6 or len(numbers) % 2:
        return None
    x, y = numbers[::2], numbers[1::2]
    return [(min(x) + max(x)) / 2, (min(y) + max(y)) / 2, max(x) - min(x), max(y) - min(y)]
