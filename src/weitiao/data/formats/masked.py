"""A picture's mask, however it is written: a file of values or colours, or the outlines of its things.

{"image": "1.jpg", "mask": "1.png"}, {"image": "1.jpg", "objects": [{"label": "cat", "segmentation": [[x, y, ...]]}]}
    ->  {"image": ..., "mask": {"labels": ["background", "cat"], "png": ...}}
"""

from __future__ import annotations

from typing import Any

from weitiao.core.sections import Data
from weitiao.core.why import reason
from weitiao.data.formats.boxed import each_thing, label_of
from weitiao.data.formats.convert import Repairs, Row, Unusable
from weitiao.data.formats.pictured import home
from weitiao.data.pictured import SEEN
from weitiao.data.pictures import mask_files
from weitiao.data.pictures.legend import Legend, legend
from weitiao.data.pictures.masks import written
from weitiao.data.pictures.opening import Unreadable
from weitiao.data.pictures.outlines import covered
from weitiao.data.pictures.reference import inside

LEGEND, HOME = "the legend", "the home"
"""Where a row that is converted holds what values stand for, and the folder that its files lie below; no column is called so."""


def legend_of(data: Data, file: str) -> Legend:
    """What the values of masks stand for, for `convert`.

    Args:
        data: the recipe's section.
        file: that the rows come from.

    Raises:
        WeitiaoError: as `pictures.legend.legend`.
    """
    return legend(data.masks, data.pictures or home(file))


def mask(row: Row, repairs: Repairs) -> dict[str, Any]:
    """A picture, what was seen of it, and the mask of a file."""
    given = row["mask"]
    if given is None or given == "":
        raise Unusable(reason("mask_missing"))
    try:
        found = mask_files.read(inside(given, row[HOME]), row[LEGEND])
    except Unreadable as error:
        named = given if isinstance(given, str) else reason("the_mask")
        raise Unusable(f"{named}: {error}") from None
    height, width = found.index_HW.shape
    if (width, height) != (row["width"], row["height"]):
        size = f"{row['width']} x {row['height']}"
        raise Unusable(reason("mask_other_size", said=f"{width} x {height}", size=size))
    return {**{name: row[name] for name in SEEN}, "mask": written(*found)}


def outlines(row: Row, repairs: Repairs) -> dict[str, Any]:
    """The same of outlined things; what two things of unlike labels hold is in doubt, and says nothing."""
    import numpy as np

    if row["objects"] is None:
        raise Unusable(reason("objects_missing"))
    legend: Legend = row[LEGEND]
    width, height = row["width"], row["height"]
    said = row.get("size")
    if said and all(said) and tuple(said) != (width, height):
        words = {"said": f"{said[0]} x {said[1]}", "size": f"{width} x {height}"}
        raise Unusable(reason("mask_other_size", **words))
    things = list(each_thing(row["objects"]))
    named = [label_of(one, number) for number, one in enumerate(things, start=1)]
    labels = sorted({legend.background, *named})
    background = labels.index(legend.background)
    index_HW = np.full((height, width), background)
    doubt_HW = np.zeros((height, width), dtype=bool)
    for number, (one, label) in enumerate(zip(things, named, strict=True), start=1):
        try:
            its_HW = covered(one.get("segmentation"), width, height, number=number)
        except Unreadable as error:
            raise Unusable(str(error)) from None
        place = labels.index(label)
        doubt_HW |= its_HW & (index_HW != background) & (index_HW != place)
        index_HW[its_HW] = place
    index_HW[doubt_HW] = -1
    if doubt_HW.any():
        repairs.append(reason("outlines_overlap", pixels=f"{int(doubt_HW.sum()):,}"))
    return {**{name: row[name] for name in SEEN}, "mask": written(index_HW, labels)}
