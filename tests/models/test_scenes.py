"""Scenes that a program draws: boxes and masks are exactly of what is to be seen."""

from __future__ import annotations

import numpy as np

from weitiao.models.assets.clothes_scenes import _runs
from weitiao.models.assets.scenes import HIDDEN, LEAST, MOST, SIDE, scenes


def made(count=60, seed=0):
    """Of discs and bars on noise."""
    rows, columns = np.mgrid[:28, :28]
    disc = (((rows - 14) ** 2 + (columns - 14) ** 2 < 100) * 200).astype(np.uint8)
    bar = ((abs(columns - 10) < 4) * 255).astype(np.uint8)
    noise = np.random.default_rng(9).integers(0, 256, (220, 260, 3), dtype=np.uint8)
    return list(scenes({"disc": [disc] * 400, "bar": [bar] * 400}, [noise], count, seed=seed))


def test_scenes_depend_on_the_seed_alone():
    one, again, other = made(6), made(6), made(6, seed=1)
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a.picture_HW3, b.picture_HW3)
        assert [thing.box for thing in a.things] == [thing.box for thing in b.things]
    assert any((a.picture_HW3 != b.picture_HW3).any() for a, b in zip(one, other, strict=True))


def test_boxes_are_the_smallest_around_what_is_seen_and_nothing_is_mostly_hidden():
    sizes = []
    for scene in made():
        assert scene.picture_HW3.shape == (SIDE, SIDE, 3)
        for place, thing in enumerate(scene.things):
            x, y, width, height = thing.box
            inside = thing.mask_HW[y : y + height, x : x + width]
            assert inside.sum() == thing.mask_HW.sum()
            assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
            for other in scene.things[place + 1 :]:
                assert not (thing.mask_HW & other.mask_HW).any()
            sizes.append(max(width, height))
            if place == len(scene.things) - 1:  # nothing lies on it
                full = {"disc": np.pi / 4, "bar": 1.0}[thing.label] * width * height
                assert thing.mask_HW.sum() >= (1 - HIDDEN) * full * 0.9
    assert min(sizes) >= LEAST * (1 - HIDDEN)
    assert max(sizes) <= MOST
    counts = [len(scene.things) for scene in made()]
    assert {0, 1, 2, 3} <= set(counts)
    assert max(counts) <= 4


def test_run_lengths_are_those_of_coco():
    from pycocotools import mask as coco

    for thing in (thing for scene in made(10) for thing in scene.things):
        packed = coco.frPyObjects({"size": [SIDE, SIDE], "counts": _runs(thing.mask_HW)}, SIDE, SIDE)
        np.testing.assert_array_equal(coco.decode(packed), thing.mask_HW)
        assert coco.toBbox(packed).tolist() == thing.box
