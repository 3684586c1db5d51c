"""Pictures as every task reads them: modes, bad files, places, likeness, and where points go."""

from __future__ import annotations

import io
import struct
import zlib
from random import Random

import numpy as np
import pytest
from PIL import Image

from weitiao.core import registry
from weitiao.data.pictures import geometry
from weitiao.data.pictures.looks import looked
from weitiao.data.pictures.near import near_groups
from weitiao.data.pictures.opening import Unreadable, opened, unpacked
from weitiao.data.pictures.reference import inside


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def blocks(seed: int = 0, side: int = 120) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(np.kron(small, np.ones((side // 6, side // 6, 1), dtype=np.uint8)))


def header_alone(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes that says it is that large."""

    def part(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    start = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rest = part(b"IDAT", zlib.compress(bytes(99))) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", start) + rest


def test_grey_palette_and_transparency_become_plain_colours(tmp_path):
    pixels = noise(7, 5)
    grey = pixels[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(opened(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, 2))
    few = Image.fromarray(pixels).quantize(8)
    few.save(tmp_path / "palette.gif")
    assert np.array_equal(opened(tmp_path / "palette.gif"), few.convert("RGB"))
    alpha = np.full((5, 7), 64, dtype=np.uint8)
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "clear.png")
    on_white = pixels * (64 / 255) + 255 * (1 - 64 / 255)
    assert np.abs(np.asarray(opened(tmp_path / "clear.png")) - on_white).max() <= 1
    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "ink.tif")
    assert np.array_equal(opened(tmp_path / "ink.tif"), Image.open(tmp_path / "ink.tif").convert("RGB"))
    one = Image.new("RGB", (1, 1), (9, 8, 7))
    one.save(tmp_path / "one.png")
    assert np.array_equal(opened(tmp_path / "one.png"), [[[9, 8, 7]]])


def test_sixteen_bits_are_scaled_and_other_numbers_refused(tmp_path):
    deep = np.array([[0, 256, 65535]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.asarray(opened(tmp_path / "deep.png"))[0, :, 0].tolist() == [0, 1, 255]
    Image.fromarray(np.array([[70000]], dtype=np.int32)).save(tmp_path / "wide.tif")
    Image.fromarray(np.ones((2, 2), dtype=np.float32)).save(tmp_path / "float.tif")
    for name in ("wide.tif", "float.tif"):
        with pytest.raises(Unreadable, match="8 or 16 bits"):
            opened(tmp_path / name)


def test_a_camera_picture_stands_upright(tmp_path):
    pixels = noise(6, 4)
    for note, upright in ((6, np.rot90(pixels, -1)), (3, np.rot90(pixels, 2)), (2, pixels[:, ::-1])):
        exif = Image.Exif()
        exif[0x0112] = note
        Image.fromarray(pixels).save(tmp_path / "held.png", exif=exif)
        assert np.array_equal(opened(tmp_path / "held.png"), upright)
        assert looked(str(tmp_path / "held.png")).width == upright.shape[1]


@pytest.mark.filterwarnings("always")
def test_bombs_and_broken_files_are_refused_before_they_are_unpacked(tmp_path, recwarn):
    for size in ((60_000, 60_000), (10_000, 10_000)):
        with pytest.raises(Unreadable, match="more than 89,478,485 pixels"):
            unpacked(header_alone(*size))
    assert not recwarn.list, "what is refused by name is warned of by nobody"
    held = io.BytesIO()
    Image.fromarray(noise(64, 64)).save(held, "JPEG")
    for content in (held.getvalue()[:1500], b"", b"words"):
        with pytest.raises(Unreadable, match="a broken picture"):
            unpacked(content)
    with pytest.raises(Unreadable, match="there is no picture"):
        opened(tmp_path / "none.png")


def test_a_place_outside_of_the_folder_is_refused_and_links_are_followed(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    for place in (home / "in.png", tmp_path / "out.png"):
        blocks().save(place)
    (home / "to_in.png").symlink_to("in.png")
    (home / "to_out.png").symlink_to("../out.png")
    for given in ("in.png", "to_in.png", "./in.png", str(home / "in.png")):
        assert np.array_equal(opened(inside(given, home)), blocks())
    for given in ("../out.png", "to_out.png", str(tmp_path / "out.png"), "/etc/hostname", "a\0.png"):
        with pytest.raises(Unreadable, match=r"lies outside of .*data\.pictures"):
            inside(given, home)
    assert inside(str(tmp_path / "out.png"), tmp_path) == str(tmp_path / "out.png")
    for given in ("", None, 3, {"bytes": None, "path": None}):
        with pytest.raises(Unreadable, match="names no picture|picture is missing"):
            inside(given, home)


def test_bytes_are_kept_once_by_what_they_hold(tmp_path, monkeypatch):
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "cache"))
    held = io.BytesIO()
    blocks().save(held, "JPEG")
    content = held.getvalue()
    path = inside({"bytes": content, "path": "cat.jpg"}, tmp_path)
    assert inside(content, tmp_path) == path
    assert np.array_equal(opened(path), Image.open(io.BytesIO(content)))
    assert np.array_equal(opened(inside(blocks(), tmp_path)), blocks())
    with pytest.raises(Unreadable, match="base64"):
        inside("data:image/png;base64,???", tmp_path)
    with pytest.raises(Unreadable, match="broken picture"):
        inside(b"words", tmp_path)


def test_copies_that_were_saved_again_are_near_and_pictures_of_one_kind_are_not(tmp_path):
    first = blocks(1)
    first.resize((60, 60)).save(tmp_path / "less.jpg", quality=60)
    lighter = first.point(lambda shade: min(255, shade + 9))
    flat = [Image.new("RGB", (9, 9), (shade,) * 3) for shade in (0, 200)]
    pictures = [first, opened(tmp_path / "less.jpg"), blocks(2), lighter, blocks(3), *flat]
    hashes = []
    for place, picture in enumerate(pictures):
        picture.save(tmp_path / f"{place}.png")
        hashes.append(looked(str(tmp_path / f"{place}.png")).phash)
    found = near_groups(hashes, lambda place: pictures[place])
    assert found.tolist() == [0, 0, 2, 0, 4, 5, 6]
    order = [3, 2, 1, 0, 4]
    again = near_groups([hashes[at] for at in order], lambda place: pictures[order[place]])
    assert again.tolist() == [0, 1, 0, 0, 4]


@pytest.mark.parametrize(
    "step",
    [
        {"name": "flip", "direction": "either"},
        {"name": "rotate", "right_angles": True},
        {"name": "rotate", "degrees": 30},
        {"name": "crop", "share": 0.6},
        {"name": "crop", "resize": False},
        {"name": "color"},
    ],
    ids=lambda step: "-".join(map(str, step.values())),
)
def test_points_go_where_the_pixels_go(step):
    """A bright square is found again where its box is said to be."""
    made = registry.build("augmentation", step)
    for seed in range(8):
        picture = Image.new("RGB", (60, 40))
        picture.paste((255, 255, 255), (24, 14, 36, 26))
        moved = made.edit(picture, Random(seed))
        lit = np.argwhere(np.asarray(moved.picture.convert("L")) > 127)
        (box,) = geometry.boxes(np.array([[24.0, 14, 36, 26]]), moved.matrix_23, moved.picture.size)
        seen = [lit[:, 1].min(), lit[:, 0].min(), lit[:, 1].max() + 1, lit[:, 0].max() + 1]
        assert np.abs(box - seen).max() <= 1.5, (seed, box, seen)


def test_boxes_are_cut_at_the_edges_and_two_edits_are_one():
    size = (60, 40)
    flip, cut = geometry.mirror(size, vertical=False), geometry.window(10, 0, scale=(2.0, 1.0))
    boxes_N4 = np.array([[0.0, 0, 10, 10], [40, 30, 60, 40]])
    both = geometry.boxes(boxes_N4, geometry.then(flip, cut), (40, 40))
    assert both.tolist() == [[40, 0, 40, 10], [0, 30, 20, 40]]
    twice = geometry.then(flip, flip)
    assert np.allclose(geometry.points(boxes_N4[:, :2], twice), boxes_N4[:, :2])
