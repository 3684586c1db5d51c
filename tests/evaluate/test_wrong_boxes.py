"""What is wrong with boxes is told by kind, and drawn: whole lines around what is there, broken ones around what was found."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tests.boxed import boxed
from tests.evaluate.judging import section
from weitiao.core import registry
from weitiao.data.pictures.drawn import FOUND, LEAST, THERE, named, outlined
from weitiao.evaluate.sections.wrong_boxes import WrongBoxes

CAT = {"label": "cat", "box": [10, 10, 20, 20]}


def told(label="cat", box=(10, 10, 20, 20), score=0.9):
    return {"label": label, "box": list(box), "score": score}


@pytest.mark.parametrize(
    ("there", "found", "kinds"),
    [
        ([CAT], [told()], []),
        ([CAT], [], ["missed"]),
        ([CAT], [told(), told(score=0.8)], ["twice"]),
        ([CAT], [told("dog")], ["label"]),
        # A right box later on takes the thing; the wrong label then stands beside it.
        ([CAT], [told("dog"), told(score=0.6)], ["label"]),
        ([CAT], [told(box=(20, 20, 20, 20))], ["place"]),
        ([CAT], [told(box=(60, 60, 20, 20))], ["missed", "nothing"]),
        ([], [told()], ["nothing"]),
        ([{**CAT, "crowd": True}], [told(box=(12, 12, 5, 5))], []),
        ([{**CAT, "crowd": True}], [], []),
        # The surer of two takes the thing, whichever comes first.
        ([CAT], [told(score=0.6), told(box=(11, 11, 20, 20))], ["twice"]),
    ],
)
def test_each_kind_of_mistake_is_told(there, found, kinds):
    assert [one.kind for one in WrongBoxes().mistakes(there, found)] == kinds


def pixels(url):
    return np.array(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


def test_the_worst_pictures_come_first_with_both_boxes_and_only_what_is_sure_counts():
    rows = [dict(row) for row in boxed(4)]
    right = [[{**one, "score": 0.9} for one in row["objects"]] for row in rows]
    # Everything of the first picture is missed, one thing of the last is found twice, and much is told that is not sure.
    said = [[], *right[1:3], [*right[3], {**right[3][0], "score": 0.7}]]
    said = [[*one, told("dog", (0, 0, 3, 3), 0.1)] for one in said]

    def sure(one):
        return {**one, "objects": [each for each in one["objects"] if each["score"] >= 0.5]}

    found = section("wrong_boxes", rows, [{"objects": one} for one in said], sure=sure)
    assert [[one.name.en for one in row.facts] for row in found.rows] == [["missed"] * 3, ["found twice"]]
    assert "2 of 4 test rows are wrong. Missed 3, found twice 1." in found.note.en
    for row, drawn in zip(found.rows, ((THERE,), (THERE, FOUND)), strict=True):
        seen = pixels(row.picture)
        assert max(seen.shape) >= LEAST
        for colour in drawn:
            assert (np.abs(seen.astype(int) - colour).sum(-1) < 60).any()
    assert section("wrong_boxes", rows, [{"objects": one} for one in right]) is None


def test_a_drawn_box_lies_around_its_thing_at_every_size():
    for side, most in ((40, None), (900, None), (900, 300)):
        scale = side / 40
        picture = Image.new("RGB", (side, side), (90, 90, 90))
        box = [8 * scale, 16 * scale, 20 * scale, 12 * scale]
        drawn = np.array(outlined(picture, [{"label": "cat", "box": box}], side=most)).astype(int)
        blue = np.abs(drawn - THERE).sum(-1) == 0
        # Below the name, which stands above the box.
        rows, columns = (
            np.flatnonzero(blue.sum(1) > 0.4 * blue.shape[1]),
            np.flatnonzero(blue.sum(0) > 0.2 * blue.shape[0]),
        )
        size = drawn.shape[0]
        np.testing.assert_allclose([columns.min(), columns.max()], np.array([8, 28]) / 40 * size, atol=3)
        assert abs(rows.max() - 28 / 40 * size) <= 3
        assert size == (most or max(side, -(-LEAST // side) * side if side < LEAST else side))


def test_a_name_that_cannot_be_written_is_a_number():
    assert named({"label": "cat", "box": []}, 1) == "cat"
    assert named({"label": "猫", "box": [], "score": 0.514}, 2) == "2 0.51"
    picture = Image.new("RGB", (50, 50))
    assert outlined(picture, [], [{"label": "猫", "box": [48, 48, 2, 2], "score": 1.0}]).size == (300, 300)


def test_settings_say_what_lies_on_a_thing():
    beside = [told(box=(20, 10, 20, 20))]  # a third of both
    assert [one.kind for one in WrongBoxes(overlap=0.3).mistakes([CAT], beside)] == []
    assert [one.kind for one in WrongBoxes().mistakes([CAT], beside)] == ["place"]
    built = registry.build("section", {"name": "wrong_boxes", "least": 0.4})
    assert [one.kind for one in built.mistakes([CAT], beside)] == ["missed", "nothing"]
