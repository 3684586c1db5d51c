"""Boxes of things in pictures, as people write them and as models say them; how they follow a picture is `geometry`'s.

[x, y, width, height] in pixels, from the upper left corner      <->      [cx, cy, width, height] as shares of the picture
"""

from __future__ import annotations

from typing import Any

from weitiao.data.pictures import geometry


def centred(boxes_N4: Any, width: float, height: float) -> Any:
    """[x, y, width, height] in pixels as [cx, cy, width, height] in shares of the picture (N, 4)."""
    import numpy as np

    boxes_N4 = np.asarray(boxes_N4, dtype=np.float64).reshape(-1, 4)
    corners_N2, sizes_N2 = boxes_N4[:, :2], boxes_N4[:, 2:]
    return np.concatenate([corners_N2 + sizes_N2 / 2, sizes_N2], axis=1) / (width, height, width, height)


def cornered(boxes_N4: Any, width: float, height: float) -> Any:
    """The way back: [cx, cy, width, height] in shares as [x, y, width, height] in pixels (N, 4)."""
    import numpy as np

    boxes_N4 = np.asarray(boxes_N4, dtype=np.float64).reshape(-1, 4) * (width, height, width, height)
    centres_N2, sizes_N2 = boxes_N4[:, :2], boxes_N4[:, 2:]
    return np.concatenate([centres_N2 - sizes_N2 / 2, sizes_N2], axis=1)


def clipped(boxes_N4: Any, width: float, height: float) -> Any:
    """What lies in a picture of that size of each box [x, y, width, height]; a box outside of it has no area."""
    import numpy as np

    boxes_N4 = np.asarray(boxes_N4, dtype=np.float64).reshape(-1, 4)
    ends_N2 = np.clip(boxes_N4[:, :2] + boxes_N4[:, 2:], 0, (width, height))
    corners_N2 = np.clip(boxes_N4[:, :2], 0, (width, height))
    return np.concatenate([corners_N2, ends_N2 - corners_N2], axis=1)


def moved(boxes_N4: Any, matrix_23: Any, size: tuple[int, int] | None) -> Any:
    """Where boxes [x, y, width, height] lie behind an edit (N, 4), cut at the edges of a picture of that size; None: wherever."""
    import numpy as np

    boxes_N4 = np.asarray(boxes_N4, dtype=np.float64).reshape(-1, 4)
    edges_N4 = np.concatenate([boxes_N4[:, :2], boxes_N4[:, :2] + boxes_N4[:, 2:]], axis=1)
    found_N4 = geometry.boxes(edges_N4, matrix_23, size)
    return np.concatenate([found_N4[:, :2], found_N4[:, 2:] - found_N4[:, :2]], axis=1)
