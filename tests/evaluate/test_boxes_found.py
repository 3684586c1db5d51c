"""Mean average precision of boxes equals pycocotools, whatever the pictures hold, and draws count like it."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.evaluate.judging import judged
from weitiao.core import registry
from weitiao.evaluate.judge import value

LABELS = ("cat", "dog", "eel")


def pictures(rng, count, *, most=6, crowds=0.0, told=12, digits=1, shift=4.0):
    """Boxes that are there, and boxes near some of them with scores that have ties."""
    references, predictions = [], []
    for _ in range(count):
        there = [
            {
                "label": LABELS[rng.integers(2)],
                "box": [*rng.uniform(0, 60, 2), *rng.uniform(4, 40, 2)],
                "crowd": bool(rng.random() < crowds),
            }
            for _ in range(rng.integers(0, most + 1))
        ]
        near = [
            {**there[rng.integers(len(there))], "score": float(np.round(rng.random(), digits))}
            for _ in range(rng.integers(0, told + 1) if there else 0)
        ]
        for one in near:
            one.pop("crowd")
            one["box"] = (
                (np.array(one["box"]) + rng.normal(0, shift, 4) * rng.integers(0, 2)).clip(0.5).tolist()
            )
        anywhere = [
            {
                "label": LABELS[rng.integers(3)],
                "box": [*rng.uniform(0, 60, 2), *rng.uniform(4, 40, 2)],
                "score": float(np.round(rng.random(), digits)),
            }
            for _ in range(rng.integers(0, told + 1))
        ]
        references.append({"objects": there})
        predictions.append({"objects": near + anywhere})
    return references, predictions


def of(name, references, predictions, **settings):
    metric = registry.build("metric", {"name": name, **settings})
    return value(metric, metric.rows(references, predictions, LABELS))


def coco(references, predictions, label=""):
    """AP, AP50 and AP75 by pycocotools."""
    numbers = {name: number for number, name in enumerate(LABELS, start=1)}
    truth, found = COCO(), COCO()
    images = [{"id": row + 1} for row in range(len(references))]
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    for side, rows in ((truth, references), (found, predictions)):
        annotations = [
            {
                "image_id": row + 1,
                "category_id": numbers[one["label"]],
                "bbox": one["box"],
                "area": one["box"][2] * one["box"][3],
                "iscrowd": int(one.get("crowd", False)),
                "score": one.get("score"),
            }
            for row, told in enumerate(rows)
            for one in told["objects"]
        ]
        for number, one in enumerate(annotations, start=1):
            one["id"] = number
        side.dataset = {"images": images, "annotations": annotations, "categories": categories}
        with contextlib.redirect_stdout(io.StringIO()):
            side.createIndex()
    judge = COCOeval(truth, found, "bbox")
    if label:
        judge.params.catIds = [numbers[label]]
    with contextlib.redirect_stdout(io.StringIO()):
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats[:3]


CASES = {
    "few": {"count": 12},
    "crowds": {"count": 20, "crowds": 0.4},
    "300 boxes": {"count": 2, "most": 300, "told": 300, "digits": 2, "shift": 1.0},
    "mostly empty": {"count": 30, "most": 1, "told": 1},
    "nobody told": {"count": 5, "told": 0},
}


@pytest.mark.parametrize("name", CASES)
def test_it_equals_pycocotools(name):
    references, predictions = pictures(np.random.default_rng(len(name)), **CASES[name])
    expected = coco(references, predictions)
    found = [of(each, references, predictions) for each in ("box_map", "box_map_50", "box_map_75")]
    assert found == pytest.approx(list(expected), abs=1e-6)
    assert name == "nobody told" or 0.001 < found[0] < found[1]
    for label in LABELS[:2]:
        alone = of("box_map", references, predictions, label=label)
        assert alone == pytest.approx(coco(references, predictions, label)[0], abs=1e-6)


def test_boxes_as_they_are_are_right_and_no_box_to_be_found_is_no_number():
    references, _ = pictures(np.random.default_rng(1), 8)
    same = [{"objects": [{**one, "score": 0.5} for one in row["objects"]]} for row in references]
    assert of("box_map", references, same) == 1
    assert of("box_map", references, [{"objects": []}] * 8) == 0
    nothing = [{"objects": []}] * 8
    assert math.isnan(of("box_map", nothing, same))
    assert coco(nothing, same)[0] == -1
    assert of("box_map", [*nothing, *references], [*nothing, *same]) == 1
    # A class that nobody was taught counts, for it was not found.
    foreign = [{"objects": [{"label": "fox", "box": [1, 1, 5, 5]}]}]
    assert of("box_map", [*references, *foreign], [*same, {"objects": []}]) == pytest.approx(2 / 3)


def test_pictures_that_are_drawn_twice_count_like_pictures_that_are_there_twice():
    rng = np.random.default_rng(3)
    references, predictions = pictures(rng, 15, crowds=0.2, digits=6)
    metric = registry.build("metric", {"name": "box_map"})
    whole = metric.rows(references, predictions, LABELS)
    weights = rng.multinomial(15, np.ones(15) / 15, size=4).astype(float)
    for drawn, often in zip(metric.over(whole, weights), weights, strict=True):
        each = np.repeat(np.arange(15), often.astype(int))
        again = [references[i] for i in each], [predictions[i] for i in each]
        assert drawn == pytest.approx(coco(*again)[0], abs=1e-6)


def test_it_has_an_interval_and_a_paired_test():
    references, predictions = pictures(np.random.default_rng(5), 30, digits=6)
    nothing = [{"objects": row["objects"][-2:]} for row in predictions]
    said = judged(
        ("box_map_50",),
        references,
        {"tuned": predictions, "other": nothing},
        labels=LABELS,
        resamples=200,
    )
    one, beside = said["metrics"]["tuned"]["box_map_50"], said["comparisons"]["other"]
    assert one["low"] < one["value"] < one["high"]
    assert beside["difference"] > 0
    assert beside["p_value"] < 0.01
