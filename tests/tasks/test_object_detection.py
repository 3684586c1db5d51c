"""Object detection: the loss is Transformers' own, however a step is cut; boxes are those of the processor and come back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.boxed import FAMILIES, boxed, detector, processor, saved
from tests.tasks.steps import close, cut_up, gradients
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data.pictures import geometry
from weitiao.data.pictures.boxes import cornered
from weitiao.models import batch_norms, load, store
from weitiao.tasks.parts import detecting


def records(rows=4):
    return [Record("toy", number, row) for number, row in enumerate(boxed(rows), start=1)]


def learnt(rows=4, **settings):
    return registry.build("task", {"name": "object_detection", **settings}).learn(records(rows))


def theirs(task, made, rows):
    """Pictures and boxes as Transformers' own processor makes them."""
    annotations = [
        {
            "image_id": number,
            "annotations": [
                {
                    "bbox": one["box"],
                    "category_id": task.labels.index(one["label"]),
                    "area": one["box"][2] * one["box"][3],
                    "iscrowd": 0,
                }
                for one in row.values["objects"]
            ],
        }
        for number, row in enumerate(rows)
    ]
    pictures = [Image.open(row.values["image"]) for row in rows]
    return made(images=pictures, annotations=annotations, return_tensors="pt")


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradient_are_those_of_transformers_however_the_step_is_cut(family):
    task, rows, made = learnt(), records(), processor(family)
    model = detector(family).train()
    with torch.no_grad():
        for weight in model.parameters():
            # Weights that are all 0 make everything equal, and which of equal boxes is taken is chance.
            weight.add_(0.05 * torch.randn_like(weight))
    batch_norms.hold(model)
    examples = list(task.encode(rows, made, limit=0))
    whole = task.collate(examples, range(4), made)
    expected = theirs(task, made, rows)
    torch.testing.assert_close(whole.inputs["pixel_values"], expected["pixel_values"])
    words = {"pixel_values": expected["pixel_values"], "labels": expected["labels"]}
    if family not in ("yolos", "rt_detr", "d_fine"):
        words["pixel_mask"] = expected["pixel_mask"]
    loss = model(**words).loss
    known = gradients(loss, model)
    ours = task.loss(model, whole) / 4
    loss, own = loss.detach(), ours.detach()
    assert float(own) == pytest.approx(float(loss), rel=1e-6)
    close(gradients(ours, model), known, 1e-5)
    parts = cut_up(task, model, whole)
    cut = sum(task.loss(model, part) for part in parts) / 4
    assert float(cut.detach()) == pytest.approx(float(loss), rel=1e-5)
    close(gradients(cut, model), known, 1e-5)
    # Cut by batches that each think they are a step, it is another loss: this test can fail.
    for part in parts:
        del part.extra["step"]
    alone = float(sum(task.loss(model, part).detach() for part in parts) / 4)
    assert alone != pytest.approx(float(loss), rel=1e-3)


@pytest.mark.parametrize("family", ["detr", "rt_detr"])
def test_boxes_are_those_of_the_processor_and_come_back_to_the_picture(family):
    task, rows, made = learnt(), records(), processor(family)
    examples = list(task.encode(rows, made, limit=0))
    batch = task.collate(examples, range(4), made)
    for row, expected, frame, record in zip(
        batch.target, theirs(task, made, rows)["labels"], batch.extra["frames"], rows, strict=True
    ):
        there = row[row[:, 0] != detecting.NOTHING]
        assert there[:, 0].long().tolist() == expected["class_labels"].tolist()
        torch.testing.assert_close(there[:, 1:], expected["boxes"])
        back = cornered(there[:, 1:].numpy(), *frame[2:])
        known = np.array([one["box"] for one in record.values["objects"]]).reshape(-1, 4)
        np.testing.assert_allclose(back, known, atol=1e-4)
    assert task.expected(examples[0]) == {"objects": rows[0].values["objects"]}


@pytest.mark.parametrize("family", ["yolos", "rt_detr"])
def test_what_is_told_is_what_transformers_makes_of_the_outputs(family):
    task, rows, made = learnt(), records(), processor(family)
    model = detector(family).eval()
    examples = [replace(one, target=None) for one in task.encode(rows, made, limit=0)]
    with torch.no_grad():
        told = task.predict(model, task.collate(examples, range(4), made))
        outputs = model(
            made(images=[Image.open(row.values["image"]) for row in rows], return_tensors="pt")[
                "pixel_values"
            ]
        )
    sizes = [(row.values["height"], row.values["width"]) for row in rows]
    expected = made.post_process_object_detection(outputs, threshold=0.0, target_sizes=sizes)
    for ours, them, (height, width) in zip(told, expected, sizes, strict=True):
        order = them["scores"].argsort(descending=True, stable=True)
        scores = them["scores"][order]
        boxes = them["boxes"][order].clamp(min=0).minimum(torch.tensor([width, height, width, height]))
        kept = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
        # RT-DETR's processor tells as many as there are queries, of which each may be several things.
        first = ours["objects"][: int(kept.sum())]
        np.testing.assert_allclose([one["score"] for one in first], scores[kept], rtol=1e-5)
        corners = [[x, y, x + w, y + h] for x, y, w, h in (one["box"] for one in first)]
        np.testing.assert_allclose(corners, boxes[kept], atol=0.02)


def test_boxes_follow_what_changes_a_training_picture():
    task, rows, made = learnt(augment=("flip",)), records(), processor("rt_detr")
    (example, *_) = task.encode(rows, made, limit=0)
    plain = task.collate([example], [0], made)
    flipped = next(
        batch
        for seed in range(20)
        if not torch.equal(
            (batch := task.collate([replace(example, chance=(seed, 0, 0))], [0], made)).target, plain.target
        )
    )
    expected = plain.target.clone()
    expected[..., 1] = 1 - expected[..., 1]
    torch.testing.assert_close(flipped.target, expected)
    torch.testing.assert_close(flipped.inputs["pixel_values"], plain.inputs["pixel_values"].flip(3))


def test_a_thing_that_a_crop_leaves_out_is_not_learnt_and_a_crowd_never_is():
    task, made = learnt(), processor("rt_detr")
    values = {**boxed(4)[0], "objects": []}
    values["objects"] = [
        {"label": "cat", "box": [0.0, 0.0, 10.0, 10.0]},
        {"label": "dog", "box": [20.0, 10.0, 10.0, 10.0]},
        {"label": "dog", "box": [20.0, 10.0, 10.0, 10.0], "crowd": True},
    ]
    (example,) = task.encode([Record("toy", 1, values)], made, limit=0)
    assert (task.collate([example], [0], made).target[0, :, 0]).tolist() == [0, 1]
    (read,) = task.read([example])
    cut = read._replace(picture=read.picture.crop((9, 9, 39, 29)), matrix_23=geometry.window(9, 9))
    there = task._target(replace(example, chance=(0, 0, 0)), cut, (30, 20, 30, 20))
    np.testing.assert_allclose(there, [[1, 16 / 30, 6 / 20, 10 / 30, 10 / 20]])


def test_labels_are_learnt_and_told_apart_by_more_than_their_case():
    rows = records()
    assert learnt().labels == ("cat", "dog")
    with pytest.raises(WeitiaoError, match="no_objects"):
        registry.build("task", {"name": "object_detection"}).learn([rows[2]])
    odd = replace(rows[1], values={**rows[1].values, "objects": [{"label": "Cat", "box": [0, 0, 1, 1]}]})
    with pytest.raises(WeitiaoError, match="label_in_two_cases") as caught:
        registry.build("task", {"name": "object_detection"}).learn([*rows, odd])
    assert 'data.relabel={"cat": "Cat"}' in str(caught.value)
    known, strange = learnt().known(odd)
    assert (known.values["objects"], strange) == ([], ("Cat",))


def test_who_asks_is_told_what_is_sure_and_who_judges_sees_all():
    told = {"objects": [{"label": "cat", "box": [0, 0, 1, 1], "score": score} for score in (0.9, 0.4)]}
    task, row = learnt(), records()[0]
    assert task.shown(row, told) == told
    assert [one["score"] for one in task.sure(told)["objects"]] == [0.9]
    assert len(learnt(threshold=0.3).sure(told)["objects"]) == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_of_other_labels_are_drawn_anew_wherever_they_lie(family, tmp_path):
    folder = saved(family, tmp_path / family)
    task = registry.build("task", {"name": "object_detection", "labels": ["a", "b", "c"]})
    loaded = load.load(str(folder), task)
    assert loaded.head
    assert loaded.model.config.num_labels == 3
    store.prepare(loaded, registry.build("method", {"name": "head"}), seed=0)
    assert set(loaded.trained) <= set(loaded.head)
    rows = records()
    batch = loaded.collate(replace(task, labels=("cat", "dog", "c")))(
        list(replace(task, labels=("cat", "dog", "c")).encode(rows, loaded.processor, limit=0))[:1], [0]
    )
    replace(task, labels=("cat", "dog", "c")).loss(loaded.model, batch).backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in loaded.trained.values())
