"""Semantic segmentation: the loss is Transformers' own, however a step is cut; masks go the way of their pictures and come back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.masked import FAMILIES, LABELS, masked, processor, saved, segmenter
from tests.tasks.steps import close, cut_up, gradients
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data.pictures import masks
from weitiao.models import batch_norms, load, store
from weitiao.tasks.parts import segmenting

FEW = ("segformer", "upernet", "dpt", "mobilevit")
"""One of each way to a loss and to pixels."""


def records(rows=4):
    return [Record("toy", number, row) for number, row in enumerate(masked(rows), start=1)]


def learnt(rows=4, **settings):
    return registry.build("task", {"name": "semantic_segmentation", **settings}).learn(records(rows))


def pictures(rows):
    return [Image.open(row.values["image"]) for row in rows]


def drawn(rows):
    """Masks as Transformers' processors take them."""
    found = [masks.placed(row.values["mask"], LABELS) for row in rows]
    return [Image.fromarray(np.where(each < 0, 255, each).astype(np.uint8)) for each in found]


def ready(family):
    """A toy in training whose weights say something, and what it is asked."""
    task, rows = learnt(), records()
    made, model = task.ready(processor(family)), segmenter(family).train()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    batch_norms.hold(model)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return task, rows, made, model


@pytest.mark.parametrize(
    "family", [one if one in FEW else pytest.param(one, marks=pytest.mark.whole) for one in FAMILIES]
)
def test_loss_and_gradient_are_those_of_transformers_however_the_step_is_cut(family):
    task, rows, made, model = ready(family)
    examples = list(task.encode(rows, made, limit=0))
    whole = task.collate(examples, range(4), made)
    target = torch.where(whole.target == segmenting.NOTHING, 255, whole.target)
    assert (target == 255).any()
    loss = model(pixel_values=whole.inputs["pixel_values"], labels=target).loss
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
    alone = float(sum(task.loss(model, part).detach() * len(part.rows) for part in parts) / 8)
    assert alone != pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize("family", ["segformer", "mobilenet", "mobilevit"])
def test_pixels_and_masks_are_those_of_the_processor(family):
    """Those of BEiT and DPT (Transformers 5.23) blend the numbers of labels when they bring masks to a size; ours do not."""
    task, rows, made, _ = ready(family)
    batch = task.collate(list(task.encode(rows, made, limit=0)), range(4), made)
    theirs = made(images=pictures(rows), segmentation_maps=drawn(rows), return_tensors="pt")
    torch.testing.assert_close(batch.inputs["pixel_values"], theirs["pixel_values"])
    expected = torch.stack([torch.as_tensor(each) for each in theirs["labels"]]).squeeze().long()
    assert torch.equal(torch.where(batch.target == segmenting.NOTHING, 255, batch.target), expected)
    assert batch.inputs["pixel_values"].shape[2:] == (32, 32), "all of the picture: nothing is cut off"


@pytest.mark.parametrize("family", ["segformer", "upernet", "beit"])
def test_what_is_told_is_what_transformers_makes_of_the_outputs(family):
    task, rows, made, model = ready(family)
    examples = [replace(one, target=None) for one in task.encode(rows, made, limit=0)]
    batch = task.collate(examples, range(4), made)
    with torch.no_grad():
        told = task.predict(model.eval(), batch)
        outputs = model(**batch.inputs)
    sizes = [(row.values["height"], row.values["width"]) for row in rows]
    for one, expected, row in zip(
        told, made.post_process_semantic_segmentation(outputs, target_sizes=sizes), rows, strict=True
    ):
        np.testing.assert_array_equal(masks.placed(one["mask"], LABELS), expected.numpy())
        shares = task.shown(row, one)["shares"]
        assert sum(shares.values()) == pytest.approx(1)
        for label, share in shares.items():
            assert share == pytest.approx(float((expected == LABELS.index(label)).float().mean()), abs=1e-6)


def test_large_pictures_are_labelled_some_lines_at_a_time(monkeypatch):
    logits = torch.randn(3, 5, 7)
    whole = segmenting.labelled(logits, (90, 70))
    monkeypatch.setattr(segmenting, "AT_ONCE", 3 * 90 * 4)
    np.testing.assert_array_equal(segmenting.labelled(logits, (90, 70)), whole)


def test_masks_follow_what_changes_a_training_picture():
    task, rows = learnt(augment=("flip",)), records()
    made = task.ready(processor("segformer"))
    (example, *_) = task.encode(rows, made, limit=0)
    plain = task.collate([example], [0], made)
    flipped = next(
        batch
        for seed in range(20)
        if not torch.equal(
            (batch := task.collate([replace(example, chance=(seed, 0, 0))], [0], made)).target, plain.target
        )
    )
    torch.testing.assert_close(flipped.target, plain.target.flip(2))
    torch.testing.assert_close(flipped.inputs["pixel_values"], plain.inputs["pixel_values"].flip(3))
    turned = learnt(augment=({"name": "rotate", "degrees": 45, "rows": 1.0},))
    batch = turned.collate([replace(example, chance=(1, 0, 0))], [0], made)
    # The corners are black, and nothing is known of them.
    black = (batch.inputs["pixel_values"] == batch.inputs["pixel_values"].amin((2, 3), keepdim=True)).all(1)
    assert black.sum() > 8
    assert (batch.target[black] == segmenting.NOTHING).float().mean() > 0.9


def test_more_labels_than_a_byte_counts_keep_their_places():
    labels = tuple(f"label {number:03}" for number in range(300))
    (row,) = records(1)
    index_HW = np.arange(1200).reshape(30, 40) // 100 * 25
    odd = replace(row, values={**row.values, "mask": masks.written(index_HW, labels)})
    task = registry.build("task", {"name": "semantic_segmentation", "labels": labels})
    made = task.ready(processor("segformer"))
    (example,) = task.encode([odd], made, limit=0)
    np.testing.assert_array_equal(masks.placed(task.expected(example)["mask"], labels), index_HW)
    assert set(task.collate([example], [0], made).target.unique().tolist()) <= set(
        np.unique(index_HW).tolist()
    )


def test_labels_are_learnt_checked_and_told_apart_by_more_than_their_case():
    rows = records()
    assert learnt().labels == LABELS
    with pytest.raises(WeitiaoError, match="too_few_labels"):
        registry.build("task", {"name": "semantic_segmentation"}).learn([rows[2]])
    odd = replace(rows[2], values={**rows[2].values, "mask": {**rows[2].values["mask"], "labels": ["Cat"]}})
    with pytest.raises(WeitiaoError, match="label_in_two_cases"):
        registry.build("task", {"name": "semantic_segmentation"}).learn([*rows, odd])
    with pytest.raises(WeitiaoError, match="unknown_label"):
        registry.build("task", {"name": "semantic_segmentation", "labels": ["dog", "ground"]}).learn(rows)
    known, strange = learnt().known(odd)
    assert strange == ("Cat",)
    assert (masks.placed(known.values["mask"], LABELS) == -1).all()
    assert "Cat" in learnt().strange(odd)


@pytest.mark.parametrize(
    "family", [one if one in FEW else pytest.param(one, marks=pytest.mark.whole) for one in FAMILIES]
)
def test_outputs_of_other_labels_are_drawn_anew_and_the_head_alone_may_train(family, tmp_path):
    folder = saved(family, tmp_path / family)
    task = registry.build(
        "task", {"name": "semantic_segmentation", "labels": ["cat", "dog", "ground", "sky"]}
    )
    loaded = load.load(str(folder), task)
    assert loaded.model.config.num_labels == 4
    assert loaded.head
    assert not any(name.split(".")[0] in ("backbone", loaded.model.base_model_prefix) for name in loaded.head)
    store.prepare(loaded, registry.build("method", {"name": "head"}), seed=0)
    assert set(loaded.trained) <= set(loaded.head)
    examples = list(task.encode(records(), loaded.processor, limit=0))
    task.loss(loaded.model, loaded.collate(task)(examples[:2], [0, 1])).backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in loaded.trained.values())
