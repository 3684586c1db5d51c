"""COCO JSON in, one record a picture out.

    {"images": [{"id", "file_name"}], "annotations": [{"image_id", "category_id", "bbox", "iscrowd"}], "categories": [{"id", "name"}]}

The line of a row is the place of its picture in `images`, from 1; annotations of pictures that are not there come behind them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.why import reason
from weitiao.data.formats.convert import as_label
from weitiao.data.read.source import BadRow, Source, shown
from weitiao.data.read.text import Text

KEYS = frozenset({"info", "licenses", "images", "annotations", "categories", "type"})
"""With one of these such a file begins."""


def read_coco(text: Text, *, format: str) -> Source | None:
    """Open a file of pictures and annotations; None where it is none, or is no JSON (whose faults others tell)."""
    whole = _whole(text)
    if whole is None:
        return None

    def rows() -> Iterator[Record | BadRow]:
        return _rows(whole, str(text.path))

    notes = (reason("lines_are_pictures"),)
    columns = ["image", "objects", "size"]
    return Source(str(text.path), f"{format} (COCO)", text.encoding, text.sha256, columns, rows, notes)


def _whole(text: Text) -> dict[str, list[Any]] | None:
    start = next((line for line in text.lines() if line.strip()), "").lstrip()
    if not start.startswith("{") or (
        start[1:].strip() and start[1:].split('"')[1:2] not in [[key] for key in KEYS]
    ):
        return None
    try:
        found = json.loads("".join(text.lines()))
    except (ValueError, RecursionError):
        return None
    lists = isinstance(found, dict) and all(
        isinstance(found.get(key), list) for key in ("images", "annotations")
    )
    if not lists or (found["images"] and not _named(found["images"][0])):
        return None
    return found | {"categories": found.get("categories") or []}


def _named(image: Any) -> bool:
    return isinstance(image, Mapping) and {"id", "file_name"} <= image.keys()


def _rows(whole: Mapping[str, list[Any]], file: str) -> Iterator[Record | BadRow]:
    names = {
        one["id"]: label
        for one in whole["categories"]
        if isinstance(one, Mapping) and {"id", "name"} <= one.keys() and (label := as_label(one["name"]))
    }
    of_image: defaultdict[Any, list[tuple[int, Any]]] = defaultdict(list)
    lost: list[tuple[int, Any]] = []
    for number, one in enumerate(whole["annotations"], start=1):
        image = one.get("image_id") if isinstance(one, Mapping) else None
        (of_image[image] if isinstance(image, str | int) else lost).append((number, one))
    met = set()
    for line, image in enumerate(whole["images"], start=1):
        if not _named(image):
            yield BadRow(file, line, reason("coco_no_image"), shown(json.dumps(image)))
        elif image["id"] in met:
            yield BadRow(file, line, reason("coco_id_twice", id=image["id"]), shown(json.dumps(image)))
        else:
            met.add(image["id"])
            yield _row(file, line, image, of_image[image["id"]], names)
    lost += [each for image, several in of_image.items() if image not in met for each in several]
    for line, (number, one) in enumerate(
        sorted(lost, key=lambda each: each[0]), start=len(whole["images"]) + 1
    ):
        image = one.get("image_id") if isinstance(one, Mapping) else None
        yield BadRow(file, line, reason("coco_no_picture", number=number, id=image), shown(json.dumps(one)))


def _row(
    file: str,
    line: int,
    image: Mapping[str, Any],
    annotations: list[tuple[int, Any]],
    names: Mapping[Any, str],
) -> Record | BadRow:
    objects = []
    for number, one in annotations:
        category = one.get("category_id")
        if not isinstance(category, str | int) or category not in names:
            known = ", ".join(map(str, list(names)[:10]))
            why = reason("coco_no_category", number=number, id=category, known=known or "-")
            return BadRow(file, line, why, shown(json.dumps(image)))
        objects.append(
            {"label": names[category], "box": one.get("bbox"), "segmentation": one.get("segmentation")}
            | ({"crowd": True} if one.get("iscrowd") else {})
        )
    size = [image["width"], image["height"]] if {"width", "height"} <= image.keys() else None
    return Record(file, line, {"image": image["file_name"], "objects": objects, "size": size})
