"""Pictures with one label each: what the model gets, what is learnt, and what is saved."""

from __future__ import annotations

import re
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import weitiao as wt
from tests.pictures import FAMILIES, class_folders, pictured, toy
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data.pack import Batches
from weitiao.models import load


def records(count=10):
    return [Record("toy", n, row) for n, row in enumerate(pictured(count), start=1)]


def task_of(**settings):
    return registry.build("task", {"name": "image_classification", **settings}).learn(records())


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=() if name == "resnet" else pytest.mark.whole) for name in FAMILIES]
)
def test_loss_and_gradient_are_those_of_transformers(family):
    """Its own processor on the opened files, its own head and loss."""
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    task, rows = task_of(), records()
    loaded = load.load(toy(family), task, seed=3)
    theirs = AutoModelForImageClassification.from_pretrained(toy(family), num_labels=2)
    theirs.load_state_dict(loaded.model.state_dict())
    processor = AutoImageProcessor.from_pretrained(toy(family))
    pictures = [Image.open(row.values["image"]).convert("RGB") for row in rows]
    pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
    batch = loaded.collate(task)(list(task.encode(rows, loaded.processor, limit=9)), list(range(10)))
    assert torch.equal(batch.inputs["pixel_values"], pixels)
    target = torch.tensor([task.labels.index(row.values["label"]) for row in rows])
    expected = theirs.eval()(pixel_values=pixels, labels=target).loss * len(rows)
    expected.backward()
    # In training mode: batch normalisation goes by what it was pretrained with, and nothing drops out here.
    loaded.model.train()
    loss = task.loss(loaded.model, batch)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    for name, weight in loaded.model.named_parameters():
        torch.testing.assert_close(weight.grad, theirs.get_parameter(name).grad, rtol=1e-4, atol=1e-5)
    known = theirs.state_dict()
    assert all(
        torch.equal(buffer, known[name]) for name, buffer in loaded.model.named_buffers() if name in known
    )


def test_training_pictures_change_by_seed_epoch_and_row_and_others_never():
    steps = ["flip", {"name": "rotate", "degrees": 20}, {"name": "crop", "rows": 0.5}, "color"]
    task, plain = task_of(augment=steps), task_of()
    loaded = load.load(toy("resnet"), task)
    examples = list(task.encode(records(), loaded.processor, limit=9))

    def pixels(task, epoch, seed=0, size=5):
        batches = Batches(examples, loaded.collate(task), size, seed=seed, varies=task.varies)
        per_epoch = batches.steps_per_epoch
        found = {}
        for step in range(epoch * per_epoch, (epoch + 1) * per_epoch):
            for batch in batches.step(step):
                found |= dict(zip(batch.rows, batch.inputs["pixel_values"], strict=True))
        return torch.stack([found[row] for row in range(len(examples))])

    first = pixels(task, 0)
    assert torch.equal(first, pixels(task, 0))
    assert torch.equal(first, pixels(task, 0, size=2)), "whoever stands beside a row changes nothing in it"
    for other in (pixels(task, 1), pixels(task, 0, seed=1), pixels(plain, 0)):
        assert all(not torch.equal(a, b) for a, b in zip(first, other, strict=True))
    judged = loaded.collate(task)(examples, list(range(10))).inputs["pixel_values"]
    assert torch.equal(judged, pixels(plain, 3))


def test_a_step_that_changes_no_pictures_is_refused():
    with pytest.raises(WeitiaoError, match="augment_refuses"):
        _ = task_of(augment=["swap"]).changes


@pytest.mark.whole
def test_pictures_of_another_size_are_the_processors_own():
    from transformers import AutoImageProcessor

    task = task_of(image_size=12)
    picture = Image.open(records()[0].values["image"])
    for family, words in (
        ("resnet", {"size": {"shortest_edge": 12}, "crop_size": 12}),
        ("vit", {"size": 12}),
    ):
        processor = load.processor(toy(family), task)[0]
        again = AutoImageProcessor.from_pretrained(toy(family))
        words = {name: {"height": 12, "width": 12} if size == 12 else size for name, size in words.items()}
        ours, theirs = (each["pixel_values"] for each in (processor([picture]), again([picture], **words)))
        assert np.array_equal(ours, theirs)
        assert np.shape(ours) == (1, 3, 12, 12)


@pytest.mark.whole
def test_a_model_without_a_processor_is_named(tmp_path):
    from transformers import AutoModelForImageClassification

    AutoModelForImageClassification.from_pretrained(toy("resnet")).save_pretrained(tmp_path)
    with pytest.raises(WeitiaoError, match=r"no_processor.*preprocessor_config\.json"):
        load.load(str(tmp_path), task_of())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    home = tmp_path_factory.mktemp("run")
    recipe = {
        "model": toy("resnet"),
        "task": {"name": "image_classification", "augment": ["flip"]},
        # Whoever does not look while dealing is told afterwards.
        "data": {"train": str(class_folders(home / "own", 40)), "near_duplicates": "keep"},
        "method": "full",
        "output_dir": str(home / "run"),
        "train": {"max_steps": 6, "learning_rate": 0.01, "bf16": False, "per_device_train_batch_size": 8},
        "evaluate": {"untuned": False},
    }
    return wt.train(recipe), home


@pytest.mark.whole
def test_the_saved_folder_answers_alike_in_plain_transformers(run):
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    found, home = run
    assert not found.results["missing"]
    assert found.results["metrics"]["frozen_features"]["accuracy"]["value"] > 0.5
    without = found.results["usage"][-1]["code"]
    told = {}
    exec(without, told)
    assert (
        type(told["processor"]).__name__
        == type(AutoImageProcessor.from_pretrained(home / "run" / "model")).__name__
    )
    page = (home / "run" / "report.html").read_text(encoding="utf-8")
    assert "weitiao predict" in page
    assert "picture.png" in page
    assert not re.search(r"\d tokens<", page), "a picture has none"
    assert "<li data-length" not in page, "the length of a file's name says nothing"
    paths = sorted(str(path) for path in (home / "own").rglob("*.png"))[::5]
    ours = found.predict(paths)
    model = AutoModelForImageClassification.from_pretrained(home / "run" / "model").eval()
    processor = AutoImageProcessor.from_pretrained(home / "run" / "model")
    with torch.no_grad():
        pixels = processor([Image.open(path).convert("RGB") for path in paths], return_tensors="pt")
        theirs = F.softmax(model(**pixels).logits.double(), -1)
    names = [model.config.id2label[place] for place in range(2)]
    assert names == list(ours[0]["scores"])
    assert np.allclose([list(one["scores"].values()) for one in ours], theirs, atol=1e-6)


@pytest.mark.whole
def test_files_folders_tables_and_pictures_in_memory_are_asked(run, tmp_path):
    found, home = run
    folder = home / "own" / "dark"
    paths = sorted(folder.glob("*.png"))
    told = found.predict(folder)
    assert (
        told == found.predict([str(path) for path in paths]) == found.predict([Image.open(p) for p in paths])
    )
    (one,), (row,) = found.predict(paths[0]), found.predict({"image": str(paths[0])})
    assert one == row
    assert one["scores"] == pytest.approx(told[0]["scores"])
    (folder / "rows.csv").write_text("file,image\n1," + paths[0].name + "\n2,../bright/000.png\n3,no.png\n")
    said = found.predict(folder / "rows.csv", skip_unusable=True)
    assert said[0] == one
    assert "lies outside" in said[1]["unusable"]
    assert "there is no picture" in said[2]["unusable"]
    (folder / "rows.csv").unlink()
    (tmp_path / "a.png").write_bytes(paths[0].read_bytes()[:200])
    with pytest.raises(WeitiaoError, match="broken picture"):
        found.predict(tmp_path / "a.png")


def test_chance_of_an_edit_is_its_own():
    """What a second step draws does not hang on whether the first one did anything."""
    one, both = task_of(augment=["color"]), task_of(augment=[{"name": "flip", "rows": 1e-9}, "color"])
    assert one.changes[0] == both.changes[1]
    drawn = [Random(repr((0, 1, 2, number))).random() for number in (0, 1)]
    assert drawn[0] != drawn[1]


def test_every_picture_that_went_wrong_is_shown_for_itself():
    from types import SimpleNamespace

    from weitiao.evaluate.worst import Case, worst

    rows = [{**row, "file": "t.csv", "line": n} for n, row in enumerate(pictured(4), start=2)]
    cases = [Case(place, facts=[], mistake=("bright", "dark")) for place in range(4)]
    shown = worst(SimpleNamespace(rows=rows), cases)
    assert [row.text for row in shown] == [f"{row['label']}/{n:03}.png" for n, row in enumerate(rows)]
    assert all(row.times == 1 and row.picture.startswith("data:image/jpeg;base64,") for row in shown)


def test_low_rank_changes_of_convolutions_are_pefts(tmp_path):
    """They begin as the base, PEFT opens what is saved and answers alike, and folded they are the plain model."""
    from peft import PeftModel
    from transformers import AutoModelForImageClassification

    from weitiao.models import store

    task, method = task_of(), registry.build("method", {"name": "lora", "r": 4, "lora_alpha": 8})
    loaded = load.load(toy("resnet"), task)
    examples = list(task.encode(records(), loaded.processor, limit=9))
    batch = loaded.collate(task)(examples, list(range(10)))
    with torch.no_grad():
        before = task.logits(loaded.model.eval(), batch)
    store.prepare(loaded, method, seed=0)
    convolutions = {name for name in loaded.trained if name.endswith("lora_A")}
    assert len(convolutions) >= 4
    assert {name for name in loaded.trained if "lora_" not in name} == loaded.head
    with torch.no_grad():
        assert torch.equal(task.logits(loaded.model.eval(), batch), before)
        for weight in loaded.trained.values():
            weight.add_(torch.randn_like(weight) * 0.05)
        tuned = task.logits(loaded.model, batch)
    assert not torch.allclose(tuned, before, atol=1e-3)
    store.save_tuned(tmp_path / "model", loaded, task=task, method=method, card={})
    base = AutoModelForImageClassification.from_pretrained(toy("resnet"), num_labels=2)
    theirs = PeftModel.from_pretrained(base, tmp_path / "model").eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs(**batch.inputs).logits, tuned, rtol=1e-4, atol=1e-5)
        with method.off(loaded.model, {name: loaded.trained[name].detach().clone() for name in loaded.head}):
            assert not torch.allclose(task.logits(loaded.model, batch), tuned, atol=1e-4)
        folded = method.fold(loaded.model)
        torch.testing.assert_close(task.logits(folded, batch), tuned, rtol=1e-4, atol=1e-5)
    assert not any("lora" in name for name, _ in folded.named_modules())
