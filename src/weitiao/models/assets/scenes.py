"""Small scenes made of clothes on photographs, with boxes and masks that are exact because a program drew them.

    pictures of Fashion-MNIST, two photographs  ->  scenes(...)  ->  Scene(picture_HW3, [Thing(label, box, mask_HW)])

Made data, not photographs of anything: the shape of a piece of clothing (its pixels above 0) in one colour of chance, shaded by
its own greys, 24 to 60 pixels high or wide, on a part of one of scikit-learn's two photographs.  A scene holds none to four of
them; the later ones lie on the earlier ones, and hide at most a third of each.  Boxes and masks are of what is to be seen.  No
piece of clothing is in two scenes, but the two photographs are behind all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SIDE = 96
"""Pixels of a scene, each way."""
LEAST, MOST = 24, 60
"""Pixels of the longer side of a thing."""
HIDDEN = 1 / 3
"""So much of a thing may lie under others."""
TRIES = 20
"""Places that are tried for a thing before it is left out."""
OFTEN = (0.06, 0.24, 0.3, 0.24, 0.16)
"""Shares of scenes with none to four things."""


@dataclass(frozen=True)
class Thing:
    """A piece of clothing in a scene."""

    label: str
    mask_HW: Any
    """Where it is seen, booleans."""

    @property
    def box(self) -> list[int]:
        """The smallest box around what is seen of it: [x, y, width, height]."""
        rows, columns = (np.flatnonzero(self.mask_HW.any(axis)) for axis in (1, 0))
        x, y = int(columns[0]), int(rows[0])
        return [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y]


@dataclass(frozen=True)
class Scene:
    """A picture (H, W, 3), bytes, and what is in it."""

    picture_HW3: Any
    things: list[Thing]


def scenes(
    shapes: Mapping[str, Sequence[Any]], photographs: Sequence[Any], count: int, *, seed: int = 0
) -> Iterator[Scene]:
    """Scenes that depend on nothing but what is given here.

    Args:
        shapes: label -> grey pictures (28, 28), bytes; each is used once, in order.
        photographs: backgrounds (H, W, 3), bytes.
        count: how many.
        seed: of chance.
    """
    rng = np.random.default_rng(seed)
    labels, left = list(shapes), {label: iter(pictures) for label, pictures in shapes.items()}
    for _ in range(count):
        picture_HW3 = _background(photographs, rng)
        masks: list[tuple[str, Any, int]] = []
        for _ in range(rng.choice(len(OFTEN), p=OFTEN)):
            label = labels[rng.integers(len(labels))]
            grey_HW = _resized(next(left[label]), int(rng.integers(LEAST, MOST + 1)))
            colour_3 = rng.integers(40, 256, 3)
            placed = _placed(grey_HW > 0, [(mask, whole) for _, mask, whole in masks], rng)
            if placed is None:
                continue
            (y, x), mask_HW = placed
            height, width = grey_HW.shape
            shaded = colour_3 * (0.35 + 0.65 * grey_HW[..., None] / 255)
            part = picture_HW3[y : y + height, x : x + width]
            part[grey_HW > 0] = shaded[grey_HW > 0].astype(np.uint8)
            masks = [(name, seen & ~mask_HW, whole) for name, seen, whole in masks]
            masks.append((label, mask_HW, int(mask_HW.sum())))
        yield Scene(picture_HW3, [Thing(label, mask_HW) for label, mask_HW, _ in masks])


def _background(photographs: Sequence[Any], rng: np.random.Generator) -> Any:
    """A square part of a photograph, from 96 to 192 pixels a side, made 96 x 96 by leaving pixels out."""
    photograph = photographs[int(rng.integers(len(photographs)))]
    step = int(rng.integers(1, 3))
    y, x = (int(rng.integers(size - step * SIDE + 1)) for size in photograph.shape[:2])
    return photograph[y : y + step * SIDE : step, x : x + step * SIDE : step].copy()


def _resized(grey_HW: Any, longest: int) -> Any:
    """The shape without what is empty around it, its longer side so long: each pixel is the nearest one."""
    grey_HW = np.asarray(grey_HW)
    rows, columns = (np.flatnonzero((grey_HW > 0).any(axis)) for axis in (1, 0))
    tight = grey_HW[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = longest / max(tight.shape)
    at = (np.minimum(np.arange(max(1, round(n * scale))) / scale, n - 1).astype(int) for n in tight.shape)
    return tight[np.ix_(*at)]


def _placed(
    shape_HW: Any, seen: Sequence[Any], rng: np.random.Generator
) -> tuple[tuple[int, int], Any] | None:
    """Where a shape goes so that no thing is hidden by more than is allowed; None where no place was found."""
    for _ in range(TRIES):
        y, x = (int(rng.integers(SIDE - size + 1)) for size in shape_HW.shape)
        mask_HW = np.zeros((SIDE, SIDE), dtype=bool)
        mask_HW[y : y + shape_HW.shape[0], x : x + shape_HW.shape[1]] = shape_HW
        # What others hid before counts, too.
        if all((mask & ~mask_HW).sum() >= (1 - HIDDEN) * whole for mask, whole in seen):
            return (y, x), mask_HW
    return None
