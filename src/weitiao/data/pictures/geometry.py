"""Where the points of a picture lie once it was mirrored, turned or cut, so that boxes and masks can follow it.

    Moved(picture, matrix_23)          what an edit gives: the picture, and where its points went
    boxes(boxes_N4, matrix_23, size)   boxes (left, top, right, bottom) in pixels, cut at the edges of the new picture

Points are measured in pixels from the upper left corner of the picture; the middle of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from math import cos, radians, sin
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image


class Moved(NamedTuple):
    """A picture after an edit."""

    picture: Image
    matrix_23: np.ndarray
    """(x, y, 1) before -> (x, y) now, (2, 3)."""


def stay() -> np.ndarray:
    """Nothing moves."""
    return _matrix(1, 0, 0, 0, 1, 0)


def mirror(size: tuple[int, int], *, vertical: bool) -> np.ndarray:
    """Left and right change places, or top and bottom."""
    width, height = size
    return _matrix(1, 0, 0, 0, -1, height) if vertical else _matrix(-1, 0, width, 0, 1, 0)


def turn(size: tuple[int, int], degrees: float) -> np.ndarray:
    """Counter-clockwise around the middle, the size stays; by whole quarters sides may change places."""
    width, height = size
    quarters = {
        90: (0, 1, 0, -1, 0, width),
        180: (-1, 0, width, 0, -1, height),
        270: (0, -1, height, 1, 0, 0),
    }
    if degrees in quarters:
        return _matrix(*quarters[int(degrees)])
    c, s, x, y = cos(radians(degrees)), sin(radians(degrees)), width / 2, height / 2
    return _matrix(c, s, x - c * x - s * y, -s, c, y + s * x - c * y)


def window(left: float, top: float, *, scale: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """What lies at (left, top) is the corner now, and all is so many times as wide and as high."""
    across, down = scale
    return _matrix(across, 0, -left * across, 0, down, -top * down)


def then(first_23: np.ndarray, second_23: np.ndarray) -> np.ndarray:
    """One edit behind another."""
    import numpy as np

    return second_23 @ np.vstack([first_23, [0, 0, 1]])


def points(points_N2: np.ndarray, matrix_23: np.ndarray) -> np.ndarray:
    """Where points are now (N, 2)."""
    return points_N2 @ matrix_23[:, :2].T + matrix_23[:, 2]


def boxes(boxes_N4: np.ndarray, matrix_23: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """The boxes around where boxes (left, top, right, bottom) went, cut at the edges of a picture of that size (N, 4); one that
    is outside has no area.  Without a size nothing is cut.
    """
    import numpy as np

    corners_N42 = boxes_N4[:, [[0, 1], [2, 1], [0, 3], [2, 3]]]
    moved_N42 = points(corners_N42.reshape(-1, 2), matrix_23).reshape(-1, 4, 2)
    found = np.concatenate([moved_N42.min(1), moved_N42.max(1)], axis=1)
    return found if size is None else found.clip(0, [*size, *size])


def _matrix(*numbers: float) -> np.ndarray:
    import numpy as np

    return np.array(numbers, dtype=np.float64).reshape(2, 3)
