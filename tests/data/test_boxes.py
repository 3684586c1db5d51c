"""Boxes: how they are read, whatever wrote them, and where they lie once the picture was changed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from weitiao.core.sections import Data
from weitiao.data.check import inspect
from weitiao.data.pictures import geometry
from weitiao.data.pictures.boxes import centred, clipped, cornered, moved
from weitiao.data.shapes import BOXED

SIDES = st.integers(2, 4000)
BOX = st.tuples(*[st.floats(0, 0.7)] * 2, *[st.floats(0.01, 0.3)] * 2)


@given(SIDES, SIDES, st.lists(BOX, max_size=5))
def test_boxes_come_back_from_shares_of_the_picture(width, height, shares):
    boxes = np.array(shares, dtype=float).reshape(-1, 4) * (width, height, width, height)
    there = centred(boxes, width, height)
    assert ((there >= 0) & (there <= 1)).all()
    np.testing.assert_allclose(cornered(there, width, height), boxes, atol=1e-9 * max(width, height))
    np.testing.assert_allclose(clipped(boxes, width, height), boxes, atol=1e-9 * max(width, height))


@given(st.data(), SIDES, SIDES, st.lists(BOX, min_size=1, max_size=4))
def test_boxes_follow_resizing_padding_cutting_and_mirroring_and_come_back(data, width, height, shares):
    boxes = np.array(shares) * (width, height, width, height)
    size, matrix = (width, height), geometry.stay()
    for _ in range(data.draw(st.integers(0, 4))):
        edit = data.draw(st.sampled_from(["resize", "pad", "mirror", "quarter"]))
        if edit == "resize":
            new = data.draw(st.tuples(SIDES, SIDES))
            step = geometry.window(0, 0, scale=(new[0] / size[0], new[1] / size[1]))
        elif edit == "pad":
            left, top = data.draw(st.tuples(*[st.integers(0, 50)] * 2))
            new, step = (size[0] + 2 * left, size[1] + 2 * top), geometry.window(-left, -top)
        elif edit == "mirror":
            new, step = size, geometry.mirror(size, vertical=data.draw(st.booleans()))
        else:
            new, step = (size[1], size[0]), geometry.turn(size, 90)
        size, matrix = new, geometry.then(matrix, step)
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    # Nothing was cut away, so that all of it is there, and all of it comes back.
    there = moved(boxes, matrix, size)
    area = abs(np.linalg.det(matrix[:, :2]))
    np.testing.assert_allclose(there[:, 2:].prod(1), boxes[:, 2:].prod(1) * area, rtol=1e-6)
    np.testing.assert_allclose(moved(there, back, (width, height)), boxes, atol=1e-6 * max(width, height))


@pytest.fixture
def yard(tmp_path):
    """Four pictures of 40 x 30."""
    for number in range(4):
        grey = np.random.default_rng(number).integers(0, 255, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(grey).save(tmp_path / f"{number}.png")
    return tmp_path


def looked(*paths, **keys):
    return inspect(Data(train=[str(path) for path in paths], near_duplicates="keep", **keys), BOXED)


def things(checked):
    return {
        str(row.values["image"]).rpartition("/")[2]: [
            (one["label"], one["box"], *(("crowd",) if one.get("crowd") else ()))
            for one in row.values["objects"]
        ]
        for row in checked.rows
    }


def why(checked):
    return {row["line"]: row["reason"] for row in checked.ledger.rows}


def coco(folder, annotations, *, images=4, categories=((1, "cat"), (7, "dog"))):
    file = folder / "instances.json"
    whole = {
        "info": {},
        "images": [
            {"id": 10 + number, "file_name": f"{number}.png", "width": 40, "height": 30}
            for number in range(images)
        ],
        "annotations": [
            {"id": number, "image_id": image, "category_id": category, "bbox": box, "iscrowd": crowd}
            for number, (image, category, box, crowd) in enumerate(annotations)
        ],
        "categories": [{"id": id, "name": name} for id, name in categories],
    }
    file.write_text(json.dumps(whole))
    return file


EXPECTED = {
    "0.png": [("cat", [1, 2, 10, 12]), ("dog", [5, 5, 20, 20])],
    "1.png": [("dog", [0, 0, 40, 30])],
    "2.png": [],
    "3.png": [],
}


def voc(folder):
    (folder / "Annotations").mkdir()
    (folder / "JPEGImages").mkdir()
    for name, objects in EXPECTED.items():
        (folder / name).rename(folder / "JPEGImages" / name)
        said = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + w}</xmax>"
            f"<ymax>{y + h}</ymax></bndbox></object>"
            for label, (x, y, w, h) in objects
        )
        (folder / "Annotations" / name.replace("png", "xml")).write_text(
            f"<annotation><filename>{name}</filename><size><width>40</width><height>30</height></size>{said}</annotation>"
        )
    return folder


def yolo(folder):
    for part in ("images", "labels"):
        (folder / part).mkdir()
    (folder / "data.yaml").write_text("train: images\nnames: {0: cat, 1: dog}\n")
    for name, objects in EXPECTED.items():
        (folder / name).rename(folder / "images" / name)
        lines = [
            f"{['cat', 'dog'].index(label)} {' '.join(map(str, centred([box], 40, 30)[0]))}"
            for label, box in objects
        ]
        if name != "3.png":  # a picture without a text has nothing in it
            (folder / "labels" / name.replace("png", "txt")).write_text("\n".join(lines))
    return folder


def table(folder):
    rows = [
        {
            "image": name,
            "objects": {"bbox": [box for _, box in each], "category": [label for label, _ in each]},
        }
        for name, each in EXPECTED.items()
    ]
    file = folder / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


def plain_coco(folder):
    found = [
        (10 + number, {"cat": 1, "dog": 7}[label], box, 0)
        for number, each in enumerate(EXPECTED.values())
        for label, box in each
    ]
    return coco(folder, found)


@pytest.mark.parametrize("write", [plain_coco, voc, yolo, table])
def test_the_same_boxes_come_from_every_tool(yard, write):
    checked = looked(write(yard))
    found = things(checked)
    assert {name: [label for label, _ in each] for name, each in found.items()} == {
        name: [label for label, _ in each] for name, each in EXPECTED.items()
    }
    for name, each in EXPECTED.items():
        for (_, box), (_, expected) in zip(found[name], each, strict=True):
            assert box == pytest.approx(expected, abs=1e-3)
    assert not checked.ledger.rows
    assert checked.rows[0].values["width"] == 40


def test_what_is_wrong_in_coco_is_told_row_by_row_and_no_good_row_is_lost(yard):
    file = coco(
        yard,
        [
            (10, 1, [1, 2, 10, 12], 0),
            (10, 1, [3, 3, 0, 5], 0),  # no area
            (10, 7, [90, 3, 5, 5], 0),  # outside
            (10, 7, [30, 20, 20, 20], 1),  # a crowd that reaches beyond
            (11, 9, [1, 1, 2, 2], 0),  # no such category
            (12, 1, None, 0),  # no box
            (99, 1, [1, 1, 2, 2], 0),  # no such picture
        ],
        images=5,
    )
    checked = looked(file)
    assert things(checked) == {
        "0.png": [("cat", [1, 2, 10, 12]), ("dog", [30, 20, 10, 10], "crowd")],
        "3.png": [],
    }
    told = why(checked)
    assert "1 boxes of no area left out (object 2)" in told[1]
    assert "1 boxes outside of the picture left out (object 3)" in told[1]
    assert "1 boxes cut at the picture's edge" in told[1]
    assert "annotation 5 has category_id 9" in told[2]
    assert "(1, 7)" in told[2]
    assert "the box of object 1 is not four numbers" in told[3]
    assert "there is no picture" in told[5]
    assert "annotation 7 is of image_id 99" in told[6]
    assert checked.ledger.total == 6


def test_a_picture_of_another_size_than_its_boxes_were_drawn_on_is_refused(yard):
    Image.open(yard / "0.png").resize((30, 40)).save(yard / "0.png")
    assert why(looked(plain_coco(yard))) == {
        1: "the picture is 30 x 40 and its boxes were drawn on 40 x 30: save it as it was when they were drawn"
    }


@pytest.mark.parametrize(
    ("write", "path", "text", "told"),
    [
        (voc, "Annotations/0.xml", "<annotation><object>", "broken XML"),
        (
            voc,
            "Annotations/0.xml",
            "<annotation><object><name>a</name></object></annotation>",
            "object 1 has no xmin",
        ),
        (voc, "Annotations/0.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><annotation/>", "declares entities"),
        (voc, "Annotations/0.xml", "<kml/>", "XML of <kml>"),
        (yolo, "labels/0.txt", "0 0.5 0.5 0.1\n", "0.txt line 1: `0 0.5 0.5 0.1` is no class"),
        (
            yolo,
            "labels/0.txt",
            "\n7 0.5 0.5 0.1 0.1",
            "0.txt line 2: `7 0.5 0.5 0.1 0.1` is of a class that has no name",
        ),
    ],
)
def test_one_broken_file_of_a_folder_costs_its_row_alone(yard, write, path, text, told):
    folder = write(yard)
    (folder / path).write_text(text)
    checked = looked(folder)
    assert told in why(checked)[1]
    assert sorted(things(checked)) == ["1.png", "2.png", "3.png"]


def test_an_outline_of_yolo_is_the_box_around_it(yard):
    folder = yolo(yard)
    (folder / "labels/2.txt").write_text("1 0.25 0.5 0.5 0.1 0.75 0.9")
    assert things(looked(folder))["2.png"] == [("dog", [10, 3, 20, 24])]


def test_copies_of_training_rows_have_boxes_that_followed(yard, tmp_path):
    from random import Random

    from weitiao.core import registry
    from weitiao.data.augment import Helpers

    (row, *_) = looked(plain_coco(yard)).rows
    step = registry.build("augmentation", {"name": "flip"})
    change = step.ready(BOXED, Helpers(folder=tmp_path / "made"))
    ((made,),) = change([row], [Random(0)])
    assert made["objects"] == [
        {"label": "cat", "box": [40 - 1 - 10, 2, 10, 12]},
        {"label": "dog", "box": [40 - 5 - 20, 5, 20, 20]},
    ]
    mirrored = np.asarray(Image.open(row.values["image"]))[:, ::-1]
    np.testing.assert_array_equal(np.asarray(Image.open(made["image"])), mirrored)
