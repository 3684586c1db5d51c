"""Pictures against arrays: flips, turns, crops and colours as numpy does them."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import sha256
from weitiao.data import shapes
from weitiao.data.augment import Helpers
from weitiao.data.augment.color import recolored
from weitiao.data.augment.crop import drawn
from weitiao.data.augment.flip import flipped
from weitiao.data.augment.rotate import rotated

pictures = st.builds(
    lambda seed, width, height, mode: picture(seed, width, height, mode),
    st.integers(0, 999),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(["L", "RGB", "RGBA"]),
)
quick = settings(max_examples=40, deadline=None)


def picture(seed: int, width: int, height: int, mode: str = "RGB") -> Image.Image:
    depth = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, *depth), dtype=np.uint8)
    return Image.fromarray(pixels)


@quick
@given(pictures)
def test_a_flip_is_numpys_and_two_are_none(image):
    pixels = np.asarray(image)
    assert np.array_equal(flipped(image, "horizontal"), pixels[:, ::-1])
    assert np.array_equal(flipped(image, "vertical"), pixels[::-1])
    for direction in ("horizontal", "vertical"):
        assert np.array_equal(flipped(flipped(image, direction), direction), pixels)


@quick
@given(pictures)
def test_a_quarter_turn_is_numpys_and_four_are_none(image):
    pixels = np.asarray(image)
    for quarters in (1, 2, 3):
        assert np.array_equal(rotated(image, 90 * quarters), np.rot90(pixels, quarters))
    turned = image
    for _ in range(4):
        turned = rotated(turned, 90)
    assert np.array_equal(turned, pixels)


def test_a_small_turn_moves_the_top_to_the_left():
    image = Image.new("L", (41, 41))
    image.putpixel((20, 2), 255)  # 18 above the middle
    column, row = np.argwhere(np.asarray(rotated(image, 30)) > 60).mean(0)[::-1]
    angle = np.radians(30)
    assert column == pytest.approx(20 - 18 * np.sin(angle), abs=0.7)
    assert row == pytest.approx(20 - 18 * np.cos(angle), abs=0.7)


@quick
@given(pictures, st.floats(0.05, 1.0), st.integers(0, 99))
def test_a_crop_is_a_part_of_the_array(image, area, seed):
    left, top, width, height = drawn(image.size, area=area, rng=Random(seed))
    assert (width, height) == tuple(max(1, round(side * area**0.5)) for side in image.size)
    assert 0 <= left <= image.width - width
    assert 0 <= top <= image.height - height


@quick
@given(pictures)
def test_colour_keeps_size_mode_and_transparency(image):
    made = recolored(image, 1.2, 0.8, 0.5)
    assert (made.size, made.mode) == (image.size, image.mode)
    assert np.array_equal(recolored(image, 1.0, 1.0, 1.0), np.asarray(image))
    if image.mode == "RGBA":
        assert np.array_equal(np.asarray(made)[..., 3], np.asarray(image)[..., 3])


def test_brightness_scales_and_saturation_zero_is_grey():
    image = picture(1, 9, 7)
    pixels = np.asarray(image)
    darker = np.asarray(recolored(image, 0.5, 1.0, 1.0)).astype(int)
    assert np.abs(darker - pixels / 2).max() <= 1
    grey = np.asarray(recolored(image, 1.0, 1.0, 0.0)).astype(int)
    assert np.ptp(grey, axis=-1).max() == 0
    # ITU-R 601 luma
    assert np.abs(grey[..., 0] - pixels @ [0.299, 0.587, 0.114]).max() <= 1


# --- rows


def change(name: str, path, folder, *, seed: int = 0, **words) -> list[dict]:
    step = registry.build("augmentation", {"name": name, **words})
    row = Record("table.csv", 7, {"image": str(path), "label": "cat"})
    return step.ready(shapes.PICTURED, Helpers(folder=folder))([row], [Random(seed)])[0]


@pytest.mark.parametrize("name", ["flip", "rotate", "crop", "color"])
def test_a_made_picture_is_a_png_named_by_its_content(name, tmp_path):
    picture(3, 100, 80).save(tmp_path / "cat.png")
    (row,) = change(name, tmp_path / "cat.png", tmp_path / "made")
    assert change(name, tmp_path / "cat.png", tmp_path / "made") == [row]
    another = change(name, tmp_path / "cat.png", tmp_path / "made", seed=1)
    assert (another == [row]) == (name == "flip")  # there is one way to flip
    path = tmp_path / "made" / f"{row['sha256'][:16]}.png"
    assert {name: row[name] for name in ("image", "label", "sha256")} == {
        "image": str(path),
        "label": "cat",
        "sha256": sha256(path),
    }
    assert (row["width"], row["height"]) == (100, 80)
    with Image.open(path) as made:
        assert made.format == "PNG"
        assert made.size == (100, 80)
    assert not shapes.PICTURED.faults(row)


def test_a_picture_that_cannot_change_makes_no_row(tmp_path):
    Image.new("RGB", (4, 4), (9, 9, 9)).save(tmp_path / "one.png")
    assert change("flip", tmp_path / "one.png", tmp_path / "made") == []
    assert not (tmp_path / "made").exists()


def test_a_camera_picture_is_turned_upright_once(tmp_path):
    image = picture(5, 6, 4)
    exif = Image.Exif()
    exif[0x0112] = 3  # held upside down
    image.save(tmp_path / "cat.png", exif=exif)
    (row,) = change("flip", tmp_path / "cat.png", tmp_path)
    assert np.array_equal(Image.open(row["image"]), np.rot90(np.asarray(image), 2)[:, ::-1])


@pytest.mark.parametrize("content", [None, b"no picture", b"\x89PNG\r\n\x1a\nbroken"])
def test_a_picture_that_cannot_be_read_is_told_with_its_row(content, tmp_path):
    if content:
        (tmp_path / "cat.png").write_bytes(content)
    with pytest.raises(WeitiaoError, match="unreadable_picture") as caught:
        change("flip", tmp_path / "cat.png", tmp_path)
    assert "table.csv line 7" in str(caught.value)
