"""A mask as people save it: values, a palette's places, or colours; in a file of its own.

    read("masks/1.png", legend)  ->  Found(index_HW, labels)      Unreadable: why it cannot be used

| the file is              | it is read as                                                                                 |
| grey, of 8 or 16 bits    | values                                                                                        |
| of a palette             | the places in it, as VOC and others have them; its colours where the legend says colours alone |
| in colour                | colours, which the legend must know; values where red, green and blue are the same             |
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from weitiao.core.why import reason
from weitiao.data.pictures.legend import Legend
from weitiao.data.pictures.masks import MOST
from weitiao.data.pictures.opening import Unreadable, first_frame

TOLD = 5
"""Values that are named of those that are none."""


class Found(NamedTuple):
    """What a mask says."""

    index_HW: Any
    """The place in `labels` of each pixel, -1 where it says nothing."""
    labels: list[str]


def read(path: str, legend: Legend) -> Found:
    """Every pixel of a mask.

    Raises:
        WeitiaoError: `missing_extra`.
        Unreadable: it cannot be opened, or holds what stands for nothing.
    """
    import numpy as np

    with first_frame(path, Path(path).name) as picture:
        try:
            coloured = bool(legend.colours) and not legend.values
            if picture.mode in ("1", "L", "P", "I", "I;16", "I;16B", "I;16L") and not (
                coloured and picture.mode == "P"
            ):
                return _of_values(np.asarray(picture).astype(np.int64), legend)
            shades_HW3 = np.asarray(picture.convert("RGB")).astype(np.int64)
        except OSError as error:
            raise Unreadable(reason("broken_picture", why=str(error))) from None
    if not coloured and (shades_HW3 == shades_HW3[..., :1]).all():
        return _of_values(shades_HW3[..., 0], legend)
    return _of_colours(shades_HW3, legend)


def _of_values(value_HW: Any, legend: Legend) -> Found:
    import numpy as np

    met, place_HW = np.unique(value_HW, return_inverse=True)
    named: list[str | None] = []
    strange = []
    for value in met.tolist():
        meant = value - 1 if legend.reduced else value
        if value in legend.ignored or meant < 0:
            named.append(None)
        elif not legend.values:
            named.append(str(meant))
        elif meant in legend.values:
            named.append(legend.values[meant])
        else:
            strange.append(value)
    if strange:
        known = ", ".join(map(str, sorted(legend.values)[:10]))
        pixels = int(np.isin(value_HW, strange).sum())
        told = ", ".join(map(str, strange[:TOLD]))
        raise Unreadable(reason("mask_values_unknown", values=told, pixels=f"{pixels:,}", known=known))
    return _indexed(named, place_HW.reshape(value_HW.shape))


def _of_colours(shades_HW3: Any, legend: Legend) -> Found:
    import numpy as np

    packed_HW = shades_HW3 @ np.array([1 << 16, 1 << 8, 1])
    met, place_HW, often = np.unique(packed_HW, return_inverse=True, return_counts=True)
    colours = [(one >> 16, one >> 8 & 255, one & 255) for one in met.tolist()]
    strange = [number for number, one in enumerate(colours) if one not in legend.colours]
    if strange:
        strange.sort(key=lambda number: -often[number])
        told = ", ".join(str(list(colours[number])) for number in strange[:TOLD])
        pixels = int(often[strange].sum())
        code = "mask_colours_unknown" if legend.colours else "mask_needs_classes"
        raise Unreadable(reason(code, colours=told, count=len(strange), pixels=f"{pixels:,}"))
    return _indexed([legend.colours[one] for one in colours], place_HW.reshape(packed_HW.shape))


def _indexed(named: list[str | None], place_HW: Any) -> Found:
    """Places among the labels that are there; two values of one name are one label."""
    import numpy as np

    labels = sorted({label for label in named if label is not None})
    if not labels:
        raise Unreadable(reason("mask_says_nothing"))
    if len(labels) > MOST:
        raise Unreadable(reason("mask_of_many_labels", count=len(labels), most=MOST))
    where: Mapping[str | None, int] = {None: -1} | {label: place for place, label in enumerate(labels)}
    return Found(np.array([where[label] for label in named])[place_HW], labels)
