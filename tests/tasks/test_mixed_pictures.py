"""MixUp and CutMix: what a row becomes, what its loss is, and that neither hangs on how a batch is cut."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.pictures import pictured, toy
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.data.pack import Batches
from weitiao.models import load
from weitiao.tasks.parts.mixing import mixed

pytestmark = pytest.mark.whole  # trainings of pictures


def records(count=10):
    return [Record("toy", n, row) for n, row in enumerate(pictured(count), start=1)]


def task_of(**settings):
    return registry.build("task", {"name": "image_classification", **settings}).learn(records())


@pytest.fixture(scope="module")
def loaded():
    return load.load(toy("resnet"), task_of(), seed=1)


def epoch_of(task, loaded, number, *, size=5, seed=0):
    """The batches of an epoch."""
    examples = list(task.encode(records(), loaded.processor, limit=9))
    words = {"seed": seed, "varies": task.varies, "mixes": task.mixes}
    batches = Batches(examples, loaded.collate(task), size, **words)
    each = batches.steps_per_epoch
    return [batch for step in range(number * each, number * each + each) for batch in batches.step(step)]


def rows_of(batches):
    return {
        row: (pixels, share, other)
        for batch in batches
        for row, pixels, share, other in zip(
            batch.rows, batch.inputs["pixel_values"], *batch.extra["mixed"], strict=True
        )
    }


@pytest.mark.parametrize("weights", ["none", {"dark": 3.0}])
def test_the_loss_is_that_of_both_labels_in_their_shares(loaded, weights):
    """Beside torch's own cross-entropy to targets that are shares, with smoothing and weights, and its gradient."""
    task = task_of(mixup_alpha=1.0, class_weights=weights)
    plain = torch.stack([b for batch in epoch_of(task_of(), loaded, 0) for b in batch.inputs["pixel_values"]])
    order = [row for batch in epoch_of(task_of(), loaded, 0) for row in batch.rows]
    plain = dict(zip(order, plain, strict=True))
    target = [task.labels.index(row.values["label"]) for row in records()]
    w = torch.tensor([1.0, 3.0] if weights != "none" else [1.0, 1.0])
    total, counted = 0.0, 0.0
    for batch in epoch_of(task, loaded, 0):
        share, other = batch.extra["mixed"]
        for nth, row in enumerate(batch.rows):
            fits = [
                o
                for o in plain
                if target[o] == other[nth]
                and torch.allclose(
                    plain[row] * share[nth] + plain[o] * (1 - share[nth]),
                    batch.inputs["pixel_values"][nth],
                    atol=1e-5,
                )
            ]
            assert fits, "each is a row and another one, in these shares"
        loss = task.loss(loaded.model.eval(), batch, label_smoothing=0.1)
        found = torch.autograd.grad(loss, list(loaded.model.parameters()))
        wanted = F.one_hot(batch.target, 2) * share[:, None] + F.one_hot(other, 2) * (1 - share[:, None])
        logits = loaded.model(pixel_values=batch.inputs["pixel_values"]).logits
        theirs = F.cross_entropy(logits, wanted, weight=w, label_smoothing=0.1, reduction="sum")
        expected = torch.autograd.grad(theirs, list(loaded.model.parameters()))
        torch.testing.assert_close(loss, theirs)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        total += float((wanted * w).sum())
        counted += batch.trained
    assert counted == pytest.approx(total, rel=1e-6)


def test_a_batch_that_is_cut_has_one_loss_and_chance_is_of_seed_epoch_and_row(loaded):
    task = task_of(mixup_alpha=0.4, cutmix_alpha=1.0, augment=["flip"])
    whole, cut = (epoch_of(task, loaded, 1, size=size) for size in (10, 3))
    one, other = rows_of(whole), rows_of(cut)
    assert one.keys() == other.keys()
    for row, told in one.items():
        assert all(torch.equal(a, b) for a, b in zip(told, other[row], strict=True))
    model = loaded.model.eval()
    losses = [
        sum(task.loss(model, batch) for batch in batches) / sum(b.trained for b in batches)
        for batches in (whole, cut)
    ]
    torch.testing.assert_close(*losses)
    gradients = [torch.autograd.grad(loss, list(model.parameters())) for loss in losses]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)
    for again in (epoch_of(task, loaded, 2), epoch_of(task, loaded, 1, seed=1)):
        assert sum(torch.equal(told[0], one[row][0]) for row, told in rows_of(again).items()) < 3


def test_rows_that_judge_are_never_mixed(loaded):
    task = task_of(mixup_alpha=0.4)
    examples = list(task.encode(records(), loaded.processor, limit=9))
    judged, plain = (loaded.collate(each)(examples, [*range(10)]) for each in (task, task_of()))
    assert torch.equal(judged.inputs["pixel_values"], plain.inputs["pixel_values"])
    assert not judged.extra
    assert not task_of(mixup_alpha=0).varies


def test_a_window_of_the_other_picture_has_its_share():
    own, other = torch.zeros(3, 20, 30), torch.ones(3, 20, 30)
    shares = []
    for seed in range(400):
        found, share = mixed(own, other, mixup=0, cutmix=1.0, rng=Random(seed))
        assert share == pytest.approx(1 - float(found[0].mean()), abs=1e-6)
        rows, columns = (np.flatnonzero(found[0].any(axis)) for axis in (1, 0))
        assert float(found[0].sum()) == len(rows) * len(columns), "one window"
        shares.append(share)
    assert 0.5 < np.mean(shares) < 0.75, "cut off at the edges, so more than half of a picture is its own"
    both = [mixed(own, other, mixup=0.4, cutmix=1.0, rng=Random(seed))[0].unique() for seed in range(200)]
    windows = sum({*map(float, each)} <= {0.0, 1.0} for each in both)
    assert 60 < windows < 140


def test_mixup_shares_are_of_the_beta_distribution():
    from scipy.stats import beta, kstest

    own, other = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    shares = [mixed(own, other, mixup=0.3, cutmix=0, rng=Random(seed))[1] for seed in range(500)]
    assert kstest(shares, beta(0.3, 0.3).cdf).pvalue > 0.01


def test_training_with_it_is_repeated_exactly(tmp_path):
    """One seed, one curve; and the key is read."""
    import weitiao as wt
    from tests.pictures import class_folders
    from weitiao.core.files import read_lines

    own = class_folders(tmp_path / "own", 40)

    def run(name, *, task):
        recipe = {
            "model": toy("vit"),
            "task": {"name": "image_classification", **task},
            "data": {"train": str(own), "near_duplicates": "keep"},
            "method": "full",
            "output_dir": str(tmp_path / name),
            "train": {"max_steps": 4, "bf16": False, "per_device_train_batch_size": 4, "logging_steps": 1},
            "evaluate": {"untuned": False, "baseline": "none"},
        }
        steady = {"eval_strategy": "no", "load_best_model_at_end": False, "early_stopping_patience": None}
        recipe["train"] |= {**steady, "save_strategy": "no"}
        wt.train(recipe)
        lines = read_lines(tmp_path / name / "log.jsonl")
        return [line["loss"] for line in lines if "loss" in line and "step" in line]

    mixing = {"mixup_alpha": 0.5}
    once, plain = run("once", task=mixing), run("plain", task={})
    assert once != plain
    assert once == run("again", task=mixing)


def test_an_example_keeps_its_own_target(loaded):
    task = task_of(mixup_alpha=0.4)
    (batch, *_) = epoch_of(task, loaded, 0, size=10)
    alone = replace(batch, extra={})
    assert torch.equal(alone.target, batch.target)
    assert [task.labels[place] for place in batch.target] == [
        records()[row].values["label"] for row in batch.rows
    ]
