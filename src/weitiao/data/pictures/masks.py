"""Masks: of every pixel of a picture which label it has, in one form that rows, predictions and pages share.

    index_HW, labels  ->  written(...)  ->  {"labels": ["cat", "ground"], "png": "iVBORw0..."}
    {"labels", "png"} ->  read(...)     ->  index_HW, the place in `labels` of each pixel, -1 where nothing is known

The PNG is one of a palette, in base64, so that whoever opens it sees the colours of `colours`: a value is the place of a label among
those of this mask alone, 255 says nothing.  So labels may be renamed without opening it, and no mask hangs on another's order.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NOTHING = 255
"""The value of pixels of which nothing is known."""
MOST = 255
"""Labels of one picture, at most."""
COLOURS = (
    (230, 25, 75),
    (60, 180, 75),
    (255, 225, 25),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (70, 240, 240),
    (240, 50, 230),
    (210, 245, 60),
    (250, 190, 212),
    (0, 128, 128),
    (220, 190, 255),
    (170, 110, 40),
    (255, 250, 200),
    (128, 0, 0),
    (170, 255, 195),
    (128, 128, 0),
    (255, 215, 180),
    (0, 0, 128),
)
"""Colours that people tell apart: Sasha Trubetskoy's list (2017), without its grey, black and white."""


def written(index_HW: Any, labels: Sequence[str], *, whole: bool = False) -> dict[str, Any]:
    """A mask with those of the labels that are in it.

    Args:
        index_HW: the place in `labels` of each pixel; below 0 where nothing is known.
        labels: no more of them in the picture than `MOST`.
        whole: with all labels, so that a value is the same in every picture; where there are no more of them than `MOST`.
    """
    import numpy as np

    index_HW = np.asarray(index_HW)
    there = np.unique(index_HW[index_HW >= 0])
    if whole and len(labels) <= MOST:
        there = np.arange(len(labels))
    value = np.full(len(labels) + 1, NOTHING, dtype=np.uint8)  # the last one is also that of -1
    value[there] = np.arange(len(there))
    named = [labels[place] for place in there.tolist()]
    return {"labels": named, "png": base64.b64encode(png(value[index_HW], named)).decode()}


def png(value_HW: Any, labels: Sequence[str]) -> bytes:
    """The file of a mask with the colours of its labels; `NOTHING` is black."""
    from PIL import Image

    picture = Image.fromarray(value_HW).convert("L")
    picture.putpalette(palette(labels))
    held = io.BytesIO()
    picture.save(held, "PNG")
    return held.getvalue()


def read(mask: Mapping[str, Any]) -> Any:
    """The place in the mask's own labels of each pixel (H, W), -1 where nothing is known."""
    import numpy as np

    found_HW = opened(content(mask))
    return np.where(found_HW < len(mask["labels"]), found_HW, -1)


def content(mask: Mapping[str, Any]) -> bytes:
    """The file of a mask."""
    return base64.b64decode(mask["png"])


def opened(content: bytes) -> Any:
    """The values of the file of a mask (H, W)."""
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture).astype(np.int64)


def placed(mask: Mapping[str, Any], labels: Sequence[str]) -> Any:
    """The place in other labels of each pixel (H, W), -1 where nothing is known, or nothing that is one of them."""
    import numpy as np

    known = {label: place for place, label in enumerate(labels)}
    where = np.array([*(known.get(label, -1) for label in mask["labels"]), -1])
    found: Any = where[read(mask)]
    return found


def moved(index_HW: Any, matrix_23: Any, size: tuple[int, int]) -> Any:
    """Where the labels of pixels lie behind a change of the picture (H, W): each is that of the point which its middle came from, -1
    where that is outside.

    Args:
        index_HW: before.
        matrix_23: (x, y, 1) before -> (x, y) now.
        size: width and height now.
    """
    import numpy as np

    width, height = size
    back_33 = np.linalg.inv(np.vstack([matrix_23, [0, 0, 1]]))
    x_1W, y_H1 = np.arange(width)[None] + 0.5, np.arange(height)[:, None] + 0.5
    column_HW, row_HW = (
        np.floor(back_33[axis, 0] * x_1W + back_33[axis, 1] * y_H1 + back_33[axis, 2] + 1e-9).astype(int)
        for axis in (0, 1)
    )
    inside_HW = (
        (column_HW >= 0) & (column_HW < index_HW.shape[1]) & (row_HW >= 0) & (row_HW < index_HW.shape[0])
    )
    found_HW = index_HW[row_HW.clip(0, index_HW.shape[0] - 1), column_HW.clip(0, index_HW.shape[1] - 1)]
    return np.where(inside_HW, found_HW, -1)


def palette(labels: Sequence[str]) -> list[int]:
    """Red, green and blue of 256 values: the colours of the labels, then black."""
    of = colours(labels)
    found = [shade for label in labels for shade in of[label]]
    return found + [0] * (3 * 256 - len(found))


def colours(labels: Iterable[str]) -> dict[str, tuple[int, int, int]]:
    """The colours of labels that are seen together, no two alike: one goes by the label alone, unless another label has it already;
    where there are more labels than `COLOURS`, the later ones get darker ones."""
    from hashlib import sha256

    found: dict[str, tuple[int, int, int]] = {}
    free: list[tuple[int, int, int]] = []
    for number, label in enumerate(sorted({*labels})):
        shade = 0.7 ** (number // len(COLOURS))
        free = free or [(round(shade * r), round(shade * g), round(shade * b)) for r, g, b in COLOURS]
        red, green, blue = COLOURS[
            sha256(label.encode("utf-8", "surrogateescape")).digest()[0] % len(COLOURS)
        ]
        own = (round(shade * red), round(shade * green), round(shade * blue))
        found[label] = own if own in free else free[0]
        free.remove(found[label])
    return found
