"""Which rows are nearly the same, by their texts or by their pictures.

rows, shape  ->  near_rows(rows, shape, data)  ->  [0, 0, 2]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from weitiao.core.contracts import Record, Shape
from weitiao.core.recipe import Data

if TYPE_CHECKING:
    import numpy as np


def near_rows(rows: Sequence[Record], shape: Shape, data: Data) -> np.ndarray:
    """Of each row (N,) the place of the one that its group is known by.

    Args:
        rows: with pictures, those that were looked at (`pictures.looks`).
        shape: what they hold.
        data: `near_duplicates` says whether what they ask makes them alike or all that they say, `near_duplicate_threshold` how
            near is near.
    """
    if shape.pictures:
        return _of_pictures(rows, shape, data)
    from weitiao.data.near import Texts, near_groups

    # What must stay on one side is what asks the same; what may be left out is only what says the same.
    said = shape.key if data.near_duplicates == "drop" else shape.group
    texts = Texts(rows, lambda record: said(record.values))
    return near_groups(texts, threshold=data.near_duplicate_threshold)


def _of_pictures(rows: Sequence[Record], shape: Shape, data: Data) -> np.ndarray:
    from weitiao.data.pictures.near import near_groups
    from weitiao.data.pictures.opening import opened

    (column,) = shape.pictures
    hashes = [row.values["phash"] for row in rows]
    return near_groups(
        hashes, lambda place: opened(rows[place].values[column]), threshold=data.near_duplicate_threshold
    )
