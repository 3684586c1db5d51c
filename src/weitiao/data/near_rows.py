"""Which rows are nearly the same, by their texts or by their pictures.

rows, shape  ->  near_rows(rows, shape, data)  ->  [0, 0, 2]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
    shown = [shape.shown(row.values) for row in rows] if shape.turns else []
    if any(shown):
        bare = Texts(rows, lambda record: " ".join(shape.texts(record.values).values()))
        return _that_show(shown, bare, texts, data)
    return near_groups(texts, threshold=data.near_duplicate_threshold)


def _that_show(
    shown: Sequence[Sequence[Mapping[str, Any]]], bare: Sequence[str], texts: Sequence[str], data: Data
) -> np.ndarray:
    """Of rows some of which show pictures: what shows one that another shows, or one that is nearly it, is of its group; where
    rows are to be left out, only what shows the same pictures and says the same."""
    import numpy as np

    from weitiao.data.near import near_groups as near_texts
    from weitiao.data.pictures.near import near_groups
    from weitiao.data.pictures.opening import opened

    every = [each for row in shown for each in row]
    found = near_groups(
        [each["phash"] for each in every],
        lambda place: opened(every[place]["image"]),
        threshold=data.near_duplicate_threshold,
    )
    ends = np.cumsum([len(row) for row in shown])
    pictures = [found[end - len(row) : end].tolist() for end, row in zip(ends, shown, strict=True)]
    words = near_texts(
        bare if data.near_duplicates == "drop" else texts, threshold=data.near_duplicate_threshold
    )
    groups: list[int] = list(range(len(shown)))

    def first(row: int) -> int:
        while groups[row] != row:
            groups[row] = row = groups[groups[row]]
        return row

    known: dict[object, int] = {}
    for row, its in enumerate(pictures):
        alike: list[object] = [("words", int(words[row]))]
        if its:
            alike = [(*its, int(words[row]))] if data.near_duplicates == "drop" else list(its)
        for one in alike:
            other = first(known.setdefault(one, row))
            here = first(row)
            groups[max(here, other)] = min(here, other)
    return np.array([first(row) for row in range(len(shown))])


def _of_pictures(rows: Sequence[Record], shape: Shape, data: Data) -> np.ndarray:
    from weitiao.data.pictures.near import near_groups
    from weitiao.data.pictures.opening import opened

    (column,) = shape.pictures
    hashes = [row.values["phash"] for row in rows]
    return near_groups(
        hashes, lambda place: opened(rows[place].values[column]), threshold=data.near_duplicate_threshold
    )
