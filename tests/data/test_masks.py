"""Masks: how they are read, whatever wrote them, and that they follow their pictures pixel by pixel."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_masks

from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.sections import Data
from weitiao.data.augment import Helpers
from weitiao.data.check import inspect
from weitiao.data.pictures import geometry, masks
from weitiao.data.pictures.opening import Unreadable
from weitiao.data.pictures.outlines import covered, filled
from weitiao.data.shapes import MASKED

NAMES = ("grass", "path", "pond")
COLOURS = {"grass": [0, 128, 0], "path": [128, 128, 0], "pond": [0, 0, 128]}


def scene(number):
    """A mask of 40 x 30: grass, a path, and a pond in one of them; the first row says nothing."""
    index_HW = np.zeros((30, 40), dtype=np.int64)
    index_HW[10 + number : 15 + number] = 1
    if number == 1:
        index_HW[20:28, 5:15] = 2
    index_HW[0] = -1
    return index_HW


@pytest.fixture
def yard(tmp_path):
    """Three pictures of 40 x 30."""
    (tmp_path / "images").mkdir()
    for number in range(3):
        grey = np.random.default_rng(number).integers(0, 255, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(grey).save(tmp_path / "images" / f"{number}.png")
    return tmp_path


def grey(folder, name="masks"):
    (folder / name).mkdir()
    for number in range(3):
        value = np.where(scene(number) < 0, 255, scene(number)).astype(np.uint8)
        Image.fromarray(value).save(folder / name / f"{number}.png")
    (folder / "classes.txt").write_text("\n".join(NAMES))
    return folder


def with_palette(folder):
    """Pascal VOC's layout, beside a picture without a mask."""
    grey(folder, "SegmentationClass")
    (folder / "images").rename(folder / "JPEGImages")
    for file in (folder / "SegmentationClass").iterdir():
        picture = Image.open(file)
        picture.putpalette([5, 5, 5, 9, 9, 9] + [0] * 762)
        picture.save(file)
    Image.new("RGB", (9, 9)).save(folder / "JPEGImages" / "alone.png")
    return folder


def deep(folder):
    """ADE20K's layout: 0 says nothing, and every class is one more."""
    grey(folder, "annotations")
    for part in ("images", "annotations"):
        (folder / part / "training").mkdir()
        for file in (folder / part).glob("*.png"):
            file.rename(folder / part / "training" / file.name)
    for file in (folder / "annotations" / "training").iterdir():
        value = np.asarray(Image.open(file))
        Image.fromarray(np.where(value == 255, 0, value + 1).astype(np.uint8)).save(file)
    return folder, {"masks": {"reduce_labels": True}}


def beside(folder):
    """Roboflow's layout."""
    grey(folder)
    for number in range(3):
        (folder / "images" / f"{number}.png").rename(folder / f"{number}.png")
        (folder / "masks" / f"{number}.png").rename(folder / f"{number}_mask.png")
    (folder / "classes.txt").unlink()
    (folder / "_classes.csv").write_text("Pixel Value, Class\n0, grass\n1, path\n2, pond\n")
    return folder, {"format": "maskfolder"}


def coloured(folder, said):
    """In colours, named by the recipe or by a file of one of the tools."""
    grey(folder)
    table = np.array([*COLOURS.values(), [9, 9, 9]], dtype=np.uint8)
    for number in range(3):
        Image.fromarray(table[scene(number)]).save(folder / "masks" / f"{number}.png")
    (folder / "classes.txt").unlink()
    lines = [f"{name}:{','.join(map(str, colour))}::" for name, colour in COLOURS.items()]
    texts = {
        "labelmap.txt": "# label:color_rgb:parts:actions\n" + "\n".join([*lines, "nothing:9,9,9::"]),
        "label_colors.txt": "\n".join(f"{r} {g} {b}\t{n}" for n, (r, g, b) in COLOURS.items())
        + "\n9 9 9 nothing",
        "class_dict.csv": "name,r,g,b\n"
        + "\n".join(f"{n},{r},{g},{b}" for n, (r, g, b) in COLOURS.items())
        + "\nnothing,9,9,9",
        "classes.json": json.dumps({**COLOURS, "nothing": [9, 9, 9]}),
    }
    if said in texts:
        (folder / said).write_text(texts[said])
        return folder, {}
    return folder, {"masks": {"classes": {**COLOURS, "nothing": [9, 9, 9]}}}


def table(folder):
    grey(folder)
    rows = folder / "rows.csv"
    lines = [f"images/{number}.png,masks/{number}.png" for number in range(3)]
    rows.write_text("\n".join(["image,mask", *lines]))
    return rows


def outlined(folder):
    """COCO: what two labels hold is in doubt, and here the first row is."""
    (folder / "images").rename(folder / "pictures")
    annotations = []
    for number in range(3):
        index_HW = scene(number)
        for place in np.unique(index_HW[index_HW > 0]).tolist():
            packed = coco_masks.encode(np.asfortranarray(index_HW == place).astype(np.uint8))
            annotations.append((number, place, {**packed, "counts": packed["counts"].decode()}))
        annotations.append((number, 1, [[0, 0, 40, 0, 40, 1, 0, 1]]))
        annotations.append((number, 2, [[0, 0, 40, 0, 40, 1, 0, 1]]))
    whole = {
        "images": [{"id": n, "file_name": f"pictures/{n}.png", "width": 40, "height": 30} for n in range(3)],
        "annotations": [
            {"id": n, "image_id": image, "category_id": place, "bbox": [0, 0, 1, 1], "segmentation": what}
            for n, (image, place, what) in enumerate(annotations)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(NAMES) if n],
    }
    file = folder / "instances.json"
    file.write_text(json.dumps(whole))
    return file, {"masks": {"background": "grass"}}


def looked(given, **keys):
    path, more = given if isinstance(given, tuple) else (given, {})
    return inspect(Data(train=[str(path)], near_duplicates="keep", **more, **keys), MASKED)


def why(checked):
    return {row["line"]: row["reason"] for row in checked.ledger.rows}


COLOURED = ("the recipe", "labelmap.txt", "label_colors.txt", "class_dict.csv", "classes.json")
TOOLS = {
    "grey": grey,
    "a palette": with_palette,
    "folders below": deep,
    "beside": beside,
    "a table": table,
    "outlines": outlined,
    **{said: partial(coloured, said=said) for said in COLOURED},
}


@pytest.mark.parametrize("tool", TOOLS)
def test_the_same_masks_come_from_every_tool(yard, tool):
    checked = looked(TOOLS[tool](yard))
    assert len(checked.rows) == 3
    for number, row in enumerate(checked.rows):
        found = masks.placed(row.values["mask"], [*NAMES])
        np.testing.assert_array_equal(found, scene(number))
    more = {"nothing"} if tool in COLOURED else set()
    for row, labels in zip(checked.rows, ({"grass", "path"}, {*NAMES}, {"grass", "path"}), strict=True):
        assert MASKED.stratum(row.values) == " + ".join(sorted(labels | more))


def test_what_is_wrong_with_masks_is_told_row_by_row_and_no_good_row_is_lost(yard):
    grey(yard)
    for number in range(3, 9):
        Image.open(yard / "images/0.png").rotate(90 * (number % 2)).save(yard / f"images/{number}.png")
    for number in (3, 4, 5, 7):
        value = np.where(scene(0) < 0, 255, scene(0) + (7 if number == 4 else 0)).astype(np.uint8)
        Image.fromarray(value).save(yard / f"masks/{number}.png")
    Image.new("L", (30, 40)).save(yard / "masks/3.png")
    Image.new("L", (40, 30), 255).save(yard / "masks/5.png")
    (yard / "masks/7.png").write_bytes(b"no picture")
    Image.new("L", (40, 30)).save(yard / "masks/8.png")
    Image.new("L", (40, 30)).save(yard / "masks/8_mask.png")
    Image.new("L", (40, 30)).save(yard / "masks/else.png")
    checked = looked(yard, duplicates="keep")
    told = why(checked)
    assert len(checked.rows) == 3
    assert "the picture is 40 x 30 and its mask was drawn on 30 x 40" in told[4]
    assert "1,160 pixels have values of no class (7, 8; known are 0, 1, 2)" in told[5]
    assert "every pixel of it is one that says nothing" in told[6]
    assert "images/6.png: there is no mask of its name" in told[7]
    assert "masks/7.png" in told[8]
    assert "it has several masks (masks/8.png, masks/8_mask.png)" in told[9]
    assert told[10] == "masks/else.png is the mask of no picture"
    assert checked.ledger.total == 10


def test_colours_that_nobody_named_are_told(yard):
    folder, _ = coloured(yard, "the recipe")
    assert "the mask is in colour (3, such as [0, 128, 0]" in why(looked(folder))[1]
    checked = looked(folder, masks={"classes": {**COLOURS, "pond": [1, 2, 3]}})
    assert "40 pixels have colours of no class (1, such as [9, 9, 9])" in why(checked)[1]
    with pytest.raises(WeitiaoError, match="file_missing"):
        looked(folder, masks={"classes": str(yard / "none.txt")})
    (yard / "bad.json").write_text('{"a": [1, 2]}')
    with pytest.raises(WeitiaoError, match=r"bad_file.*bad\.json"):
        looked(folder, masks={"classes": str(yard / "bad.json")})


def test_pictures_of_voc_without_a_mask_are_counted_and_boxes_alone_say_where_masks_are(yard):
    checked = looked(with_palette(yard))
    assert "1 pictures have no mask in SegmentationClass" in str(checked.ledger.files)
    (yard / "rows.jsonl").write_text(
        json.dumps({"image": "JPEGImages/0.png", "objects": [{"label": "a", "box": [0, 0, 2, 2]}]})
    )
    assert "object 1 has no outline" in why(looked(yard / "rows.jsonl"))[1]


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.lists(st.tuples(*[st.floats(-9, 50).map(lambda side: round(side, 2))] * 2), min_size=3, max_size=9),
)
def test_outlines_cover_what_pycocotools_covers(width, height, points):
    flat = [side for point in points for side in point]
    packed = coco_masks.frPyObjects([flat], height, width)
    expected = coco_masks.decode(coco_masks.merge(packed)).astype(bool)
    np.testing.assert_array_equal(filled(np.array(points), width, height), expected)
    packed = packed[0]
    runs = {"size": [height, width], "counts": packed["counts"]}
    np.testing.assert_array_equal(covered(runs, width, height, number=1), expected)


ANYTHING = st.recursive(
    st.one_of(st.none(), st.floats(), st.integers(-9, 99), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=8),
        st.fixed_dictionaries({}, optional={"size": inner, "counts": inner}),
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(ANYTHING)
def test_whatever_stands_for_an_outline_covers_pixels_or_is_told(said):
    with contextlib.suppress(Unreadable):
        assert covered(said, 5, 4, number=1).shape == (4, 5)


@pytest.mark.parametrize("step", ["flip", "crop", "rotate", "right angles"])
def test_copies_have_masks_that_followed_pixel_by_pixel(step, tmp_path):
    """Pictures in which every pixel shows its own label: what was drawn and what was said stay the same."""
    shades = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250]], dtype=np.uint8)
    index_HW = np.kron(np.random.default_rng(0).integers(0, 3, (6, 8)), np.ones((8, 8), dtype=int))
    Image.fromarray(shades[index_HW]).save(tmp_path / "1.png")
    row = {"image": str(tmp_path / "1.png"), "mask": masks.written(index_HW, NAMES)}
    words = {"name": "rotate", "right_angles": True} if step == "right angles" else {"name": step}
    change = registry.build("augmentation", words).ready(MASKED, Helpers(folder=tmp_path / "made"))
    (several,) = zip(*(change([Record("toy", 1, row)], [Random(seed)]) for seed in range(4)), strict=True)
    assert sum(map(len, several)) >= 3
    for made in (one for copies in several for one in copies):
        seen = np.asarray(Image.open(made["image"])).astype(int)
        found = masks.placed(made["mask"], NAMES)
        assert found.shape == seen.shape[:2]
        blended = seen.max(-1) < 240 if step in ("crop", "rotate") else np.zeros(found.shape, dtype=bool)
        # Between two labels the picture is blended; everywhere else the mask says what is drawn.
        agree = (found == seen.argmax(-1)) | (found == -1) & (seen.max(-1) == 0)
        assert (
            (agree | blended).mean() == 1
            if step in ("flip", "right angles")
            else (agree | blended).mean() > 0.99
        )
        assert blended.mean() < 0.35


def test_a_mask_that_moves_is_the_nearest_pixel():
    index_HW = np.arange(12).reshape(3, 4)
    twice = geometry.window(0, 0, scale=(2, 2))
    np.testing.assert_array_equal(masks.moved(index_HW, twice, (8, 6)), np.kron(index_HW, np.ones((2, 2))))
    np.testing.assert_array_equal(masks.moved(index_HW, geometry.window(1, 1), (3, 2)), index_HW[1:, 1:])
    aside = masks.moved(index_HW, geometry.window(-1, 0), (4, 3))
    np.testing.assert_array_equal(aside[:, 0], [-1] * 3)
    np.testing.assert_array_equal(aside[:, 1:], index_HW[:, :3])


def test_labels_are_renamed_without_opening_the_mask_and_two_may_become_one(yard):
    checked = looked(grey(yard), relabel={"pond": "grass"})
    assert checked.rows[1].values["mask"]["labels"] == ["grass", "path", "grass"]
    found = masks.placed(checked.rows[1].values["mask"], NAMES)
    np.testing.assert_array_equal(found, np.where(scene(1) == 2, 0, scene(1)))


def test_labels_that_are_seen_together_never_look_alike():
    labels = [f"part {number}" for number in range(60)]
    found = masks.colours(labels)
    assert len({*found.values()}) == 60
    # Whoever stands beside it, where there is no need.
    alone = {label: masks.colours([label])[label] for label in labels}
    assert len({*alone.values()}) < 20
    assert masks.colours(labels[:2])[labels[0]] == alone[labels[0]]
    one, two = next((a, b) for a in labels for b in labels if a < b and alone[a] == alone[b])
    together = masks.colours([two, one])
    assert together[one] == alone[one] != together[two]
