"""Metrics of pixels equal a count of them one by one, and the baselines do what they say."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, jaccard_score

from tests.evaluate.judging import judged, section
from tests.masked import LABELS, masked
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.data.pictures import masks
from weitiao.data.pictures.painted import painted
from weitiao.data.shapes import MASKED
from weitiao.evaluate.judge import value


def scenes(rng, count, *, labels=LABELS, right=0.6):
    """True masks with pixels that say nothing, and masks that a system says."""
    references, predictions = [], []
    for _ in range(count):
        shape = rng.integers(2, 9, 2)
        true = rng.integers(-1, len(labels), shape)
        said = np.where((rng.random(shape) < right) & (true >= 0), true, rng.integers(0, len(labels), shape))
        references.append({"mask": masks.written(true, labels)})
        predictions.append({"mask": masks.written(said, labels)})
    return references, predictions


def of(name, references, predictions, labels=LABELS, **words):
    metric = registry.build("metric", {"name": name, **words})
    return value(metric, metric.rows(references, predictions, labels))


def flat(references, predictions, labels=LABELS):
    pairs = []
    for there, told in zip(references, predictions, strict=True):
        true, said = masks.placed(there["mask"], labels), masks.placed(told["mask"], labels)
        pairs += [(t, s) for t, s in zip(true.ravel().tolist(), said.ravel().tolist(), strict=True) if t >= 0]
    return zip(*pairs, strict=True)


@pytest.mark.parametrize("seed", range(5))
def test_metrics_equal_sklearn_on_all_pixels_one_by_one(seed):
    references, predictions = scenes(np.random.default_rng(seed), 6)
    true, said = flat(references, predictions)
    assert of("mean_iou", references, predictions) == pytest.approx(
        jaccard_score(true, said, average="macro"), abs=1e-9
    )
    assert of("mean_dice", references, predictions) == pytest.approx(
        f1_score(true, said, average="macro"), abs=1e-9
    )
    assert of("pixel_accuracy", references, predictions) == pytest.approx(
        accuracy_score(true, said), abs=1e-9
    )
    for place, label in enumerate(LABELS):
        own = jaccard_score(true, said, labels=[place], average="macro")
        assert of("mean_iou", references, predictions, label=label) == pytest.approx(own, abs=1e-9)


def test_a_label_that_nobody_has_or_says_counts_for_nothing():
    labels = (*LABELS, "sky")
    references, predictions = scenes(np.random.default_rng(0), 4)
    assert of("mean_iou", references, predictions, labels) == of("mean_iou", references, predictions)
    assert of("mean_iou", references, references) == 1
    everywhere = [
        {"mask": masks.written(np.zeros(masks.read(row["mask"]).shape, int), ["sky"])} for row in references
    ]
    assert of("pixel_accuracy", references, everywhere, labels) == 0


def test_the_interval_is_over_pictures_and_the_better_system_is_found():
    references, better = scenes(np.random.default_rng(0), 60, right=0.9)
    _, worse = scenes(np.random.default_rng(0), 60, right=0.3)
    found = judged(("mean_iou",), references, {"tuned": better, "base": worse}, labels=LABELS, resamples=200)
    ours, others = (found["metrics"][name]["mean_iou"] for name in ("tuned", "base"))
    assert others["high"] < ours["low"] < ours["value"] < ours["high"]


def test_sections_tell_labels_and_what_they_are_taken_for():
    true = np.array([[0, 0, 1, 1], [0, 2, 2, -1]])
    said = np.array([[0, 1, 1, 1], [0, 2, 0, 0]])
    rows, told = ([{"mask": masks.written(each, LABELS)}] for each in (true, said))
    found = section("labels_of_pixels", rows, told, labels=LABELS)
    table = {row.name: row.values for row in found.rows}
    assert [*table] == ["cat", "ground", "dog"]
    assert table["cat"] == pytest.approx([2 / 4, 4 / 6, 2 / 3, 2 / 3, 3 / 7])
    assert table["ground"] == pytest.approx([1 / 2, 2 / 3, 1 / 2, 1, 2 / 7])
    assert section("pixel_confusion", rows, told, labels=LABELS).values == [[2, 1, 0], [0, 2, 0], [1, 0, 1]]


def rows_of(count):
    return [Record("toy", number, row) for number, row in enumerate(masked(count), start=1)]


def test_the_baselines_say_the_commonest_label_and_what_colours_tell():
    rows = rows_of(12)
    alike = registry.build("baseline", {"name": "majority_pixel"}).fit(rows[:8], MASKED)(rows[8:])
    for row, told in zip(rows[8:], alike, strict=True):
        assert told["mask"]["labels"] == ["ground"]
        assert masks.read(told["mask"]).shape == (row.values["height"], row.values["width"])
    coloured = registry.build("baseline", {"name": "colours"}).fit(rows[:8], MASKED)(rows[8:])
    references = [{"mask": row.values["mask"]} for row in rows[8:]]
    assert of("mean_iou", references, coloured) > 0.9 > of("mean_iou", references, alike)
    # Larger pictures are labelled on a copy, and come back at their size.
    large = {**rows[8].values, "width": 500, "height": 300}
    large["image"] = large["image"].replace(".png", "-large.png")
    Image.open(rows[8].values["image"]).resize((500, 300)).save(large["image"])
    (told,) = registry.build("baseline", {"name": "colours"}).fit(rows[:8], MASKED)([Record("toy", 1, large)])
    assert masks.read(told["mask"]).shape == (300, 500)


def test_the_worst_pictures_come_first_with_both_masks_on_them():
    rows = [row.values for row in rows_of(4)]
    truth = [masks.placed(row["mask"], LABELS) for row in rows]
    told = [np.where(each < 0, 0, each) for each in truth]
    told[2] = np.where(told[2] == 2, 1, told[2])
    told[1][20:24, 10:14] = 0
    said = [{"mask": masks.written(each, LABELS, whole=True)} for each in told]
    found = section("wrong_pixels", rows, said, labels=LABELS)
    assert [row.text.rpartition("/")[2] for row in found.rows] == ["2.png", "1.png"]
    assert found.rows[0].picture.startswith("data:image/")
    assert found.rows[0].facts[0].number == 1.0
    assert found.rows[0].facts[1].value.en == "dog, not ground"
    assert section("wrong_pixels", rows, [{"mask": row["mask"]} for row in rows], labels=LABELS) is None


def test_a_mask_is_laid_over_its_picture_and_what_is_not_known_stays():
    picture = Image.new("RGB", (300, 300), (100, 100, 100))
    index_HW = np.full((300, 300), -1)
    index_HW[100:200, 100:200] = 1
    mask = masks.written(index_HW, LABELS)
    one, two = (np.asarray(painted(picture, [mask] * count)).astype(int) for count in (1, 2))
    assert one[50, 50].tolist() == [100] * 3
    np.testing.assert_allclose(one[150, 150], 50 + np.array(masks.colours(mask["labels"])["dog"]) / 2, atol=1)
    np.testing.assert_array_equal(two[:300, :300], two[:300, 304:604])
    assert (one[300:] == masks.colours(mask["labels"])["dog"]).all(-1).any(), "its colour is named below"
