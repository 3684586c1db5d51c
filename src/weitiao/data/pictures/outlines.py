"""Outlines and run lengths as COCO writes them  ->  which pixels they cover, as pycocotools has it.

[[x, y, x, y, ...], ...], {"size": [h, w], "counts": [...] or "..."}  ->  covered(..., width, height)  ->  (H, W) booleans
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weitiao.core.why import reason
from weitiao.data.pictures.opening import Unreadable

FINER = 5
"""Outlines are walked on a grid so many times finer than pixels (maskApi.c of pycocotools 2.0.11, `rleFrPoly`)."""


def covered(segmentation: Any, width: int, height: int, *, number: int) -> Any:
    """The pixels of a thing (H, W).

    Args:
        segmentation: outlines, or run lengths.
        width: of the picture.
        height: of the picture.
        number: of the thing, for what is told.

    Raises:
        Unreadable: it is neither, or of a picture of another size.
    """
    if isinstance(segmentation, Mapping):
        return _of_runs(segmentation, width, height, number)
    outlines = segmentation if isinstance(segmentation, Sequence) else []
    if outlines and all(isinstance(side, int | float) for side in outlines):
        outlines = [outlines]  # one alone
    found = np.zeros((height, width), dtype=bool)
    for outline in outlines:
        found |= filled(_points(outline, number), width, height)
    if not outlines:
        raise Unreadable(reason("object_no_outline", number=number))
    return found


def _points(outline: Any, number: int) -> Any:
    """The corners of an outline (N, 2)."""
    try:
        flat = [float(side) for side in outline]
    except (TypeError, ValueError):
        flat = []
    if len(flat) < 6 or len(flat) % 2 or not all(map(math.isfinite, flat)):
        raise Unreadable(reason("outline_no_points", number=number))
    return np.array(flat).reshape(-1, 2)


def filled(points_N2: Any, width: int, height: int) -> Any:
    """The pixels within an outline (H, W), pixel for pixel those of pycocotools' `frPyObjects`.

    Args:
        points_N2: its corners; the last one is joined to the first.
        width: of the picture.
        height: of the picture.
    """
    # An outline that was written wrongly would fill memory with its edges.
    most = 10_000.0 + 10 * max(width, height)
    fine_N2 = np.trunc(FINER * np.clip(points_N2, -most, most) + 0.5).astype(int)
    walked = [_edge(a, b) for a, b in zip(fine_N2, np.roll(fine_N2, -1, axis=0), strict=True)]
    u, v = (np.concatenate(each) for each in zip(*walked, strict=True))
    left = np.minimum(u[1:], u[:-1])
    column = (left + 0.5) / FINER - 0.5
    row = np.ceil(((np.minimum(v[1:], v[:-1]) + 0.5) / FINER - 0.5).clip(0, height))
    crosses = (u[1:] != u[:-1]) & (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    # Down a column each crossing changes from outside to inside and back.
    places = (column[crosses] * height + row[crosses]).astype(int)
    turns = np.bincount(places, minlength=width * height)[: width * height]
    return (np.cumsum(turns) % 2 == 1).reshape(width, height).T


def _edge(start_2: Any, end_2: Any) -> tuple[Any, Any]:
    """The points of the fine grid from one corner to the next; walked the same way from both ends."""
    (xs, ys), (xe, ye) = start_2.tolist(), end_2.tolist()
    across, down = abs(xe - xs), abs(ye - ys)
    flip = xs > xe if across >= down else ys > ye
    if flip:
        xs, ys, xe, ye = xe, ye, xs, ys
    step = np.arange(max(across, down) + 1)
    step = step[::-1] if flip else step
    if across >= down:
        slope = (ye - ys) / across if across else 0.0
        return step + xs, np.trunc(ys + slope * step + 0.5).astype(int)
    slope = (xe - xs) / down
    return np.trunc(xs + slope * step + 0.5).astype(int), step + ys


def _of_runs(segmentation: Mapping[str, Any], width: int, height: int, number: int) -> Any:
    """Run lengths down the columns, first of what is not covered; as numbers, or packed as pycocotools packs them."""
    counts, size = segmentation.get("counts"), segmentation.get("size")
    if isinstance(counts, bytes):
        counts = counts.decode("ascii", "replace")
    try:
        runs = _unpacked(counts) if isinstance(counts, str) else [int(run) for run in counts or ()]
    except (TypeError, ValueError, IndexError):
        runs = []
    if size is not None and size not in ([height, width], (height, width)):
        said = str(size)[:40]
        raise Unreadable(reason("runs_other_size", number=number, said=said, size=[height, width]))
    if not runs or min(runs) < 0 or sum(runs) != width * height:
        raise Unreadable(
            reason("runs_do_not_fit", number=number, found=f"{sum(runs):,}", size=f"{width * height:,}")
        )
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(width, height).T


def _unpacked(text: str) -> list[int]:
    """Packed run lengths (maskApi.c, `rleFrString`): five bits a character, the lowest first; from the fourth number on what it is
    more than the one before the last."""
    runs: list[int] = []
    at = 0
    while at < len(text):
        number, shift, more = 0, 0, True
        while more:
            bits = ord(text[at]) - 48
            if not 0 <= bits < 64:
                raise ValueError(text[at])
            number |= (bits & 0x1F) << shift
            more, at, shift = bool(bits & 0x20), at + 1, shift + 5
            if not more and bits & 0x10:
                number -= 1 << shift
        runs.append(number + runs[-2] if len(runs) > 2 else number)
    return runs
