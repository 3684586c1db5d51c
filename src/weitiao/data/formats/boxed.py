"""A picture's things with their boxes, however they are written, in the pixels of the picture.

    [{"label": "cat", "box": [x, y, w, h]}], {"bbox": [[x, y, w, h]], "category": ["cat"]}  ->  objects(row, repairs)
        ->  {"image": ..., "objects": [{"label": "cat", "box": [x, y, w, h]}]}

A box that reaches beyond the picture is cut there, one of no area or outside of it is left out, and the ledger says so of the row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from weitiao.core.why import reason
from weitiao.data.formats.convert import Repairs, Row, Unusable, as_label, kind
from weitiao.data.pictured import SEEN
from weitiao.data.pictures.boxes import clipped, cornered

LABELS = ("label", "category", "categories", "labels", "class", "name")
BOXES = ("box", "bbox", "boxes", "bboxes")
SHARE = "share"
"""Boxes as [cx, cy, width, height] in shares of the picture (YOLO)."""
EDGE = 1.0
"""So many pixels beyond the picture are rounding, and nothing to tell."""


def objects(row: Row, repairs: Repairs) -> dict[str, Any]:
    """A picture, what was seen of it, and its things."""
    size = row["width"], row["height"]
    said = row.get("size")
    if said and all(said) and tuple(said) != size:
        sizes = (f"{one[0]} x {one[1]}" for one in (said, size))
        raise Unusable(reason("picture_other_size", **dict(zip(("said", "size"), sizes, strict=True))))
    kept: list[dict[str, Any]] = []
    empty: list[int] = []
    outside: list[int] = []
    cut = 0
    for number, one in enumerate(each_thing(row["objects"]), start=1):
        thing, beyond = _thing(one, size, number)
        if thing is None:
            (outside if beyond else empty).append(number)
            continue
        kept.append(thing)
        cut += beyond > EDGE
    for code, found in (("boxes_of_no_area", empty), ("boxes_outside", outside)):
        if found:
            numbers = ", ".join(map(str, found[:10]))
            repairs.append(reason(code, count=len(found), numbers=numbers))
    if cut:
        repairs.append(reason("boxes_cut", count=cut))
    return {**{name: row[name] for name in SEEN}, "objects": kept}


def each_thing(cell: Any) -> Iterator[Mapping[str, Any]]:
    """The things of a row, one dict each."""
    if isinstance(cell, str):  # a table's cell
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            raise Unusable(reason("text_of_no_list", column="objects")) from None
    if isinstance(cell, Mapping):
        # Hugging Face keeps a list for each part.
        yield from _turned(cell)
        return
    if not isinstance(cell, Sequence | None):
        raise Unusable(reason("not_a_list", column="objects", kind=kind(cell)))
    for number, one in enumerate(cell or (), start=1):
        if not isinstance(one, Mapping):
            raise Unusable(reason("object_no_dict", number=number))
        yield one


def _turned(columns: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    lists = {
        name: each
        for name, each in columns.items()
        if isinstance(each, Sequence) and not isinstance(each, str)
    }
    lengths = {name: len(each) for name, each in lists.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise Unusable(reason("objects_of_unlike_length", found=found))
    for values in zip(*lists.values(), strict=True):
        yield dict(zip(lists, values, strict=True))


def label_of(one: Mapping[str, Any], number: int) -> str:
    """The label of a thing, by any of its names."""
    label = next((as_label(one[name]) for name in LABELS if one.get(name) is not None), None)
    if label is None:
        raise Unusable(reason("object_no_label", number=number))
    return label


def _thing(one: Mapping[str, Any], size: tuple[int, int], number: int) -> tuple[dict[str, Any] | None, float]:
    """A thing within the picture, None where nothing of it is; and by how many pixels its box reached beyond."""
    label = label_of(one, number)
    relative = one.get(SHARE) is not None
    box = one[SHARE] if relative else next((one[name] for name in BOXES if one.get(name) is not None), None)
    try:
        numbers = [float(side) for side in (() if isinstance(box, str) else box or ())]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise Unusable(reason("object_no_box", number=number))
    if relative:
        numbers = cornered([numbers], *size)[0].tolist()
    if min(numbers[2:]) <= 0:
        return None, 0.0
    inside = clipped([numbers], *size)[0].tolist()
    beyond = max(abs(a - b) for a, b in zip(inside, numbers, strict=True))
    if min(inside[2:]) <= 0:
        return None, max(beyond, EDGE)
    crowd = {"crowd": True} if one.get("crowd") or one.get("iscrowd") else {}
    return {"label": label, "box": [round(side, 3) for side in inside], **crowd}, beyond
