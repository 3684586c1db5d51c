"""Where in a picture a prediction comes from: the planted patch is found, and the maps are those of brute force."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import weitiao as wt
from tests.pictures import toy
from weitiao.cli import run as command
from weitiao.core.errors import WeitiaoError
from weitiao.evaluate.explain import overlay, pictured
from weitiao.evaluate.explain.explanation import Heat

pytestmark = pytest.mark.whole

pytest.importorskip("captum")
SIDE, PATCH = 32, 8
COLOURS = {"red": (255, 40, 40), "green": (40, 255, 40)}


def planted(folder, count):
    """Grey noise with a bright patch somewhere, whose colour is the label."""
    for number in range(count):
        rng, label = np.random.default_rng(number), list(COLOURS)[number % 2]
        pixels = np.repeat(rng.integers(60, 120, (SIDE, SIDE, 1), dtype=np.uint8), 3, axis=2)
        top, left = where(number)
        pixels[top : top + PATCH, left : left + PATCH] = COLOURS[label]
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / label / f"{number:03}.png")
    return folder


def where(number):
    """The upper left corner of the patch of a picture."""
    return [int(each) * 4 for each in np.random.default_rng([1, number]).integers(0, 7, 2)]


class Tiny(nn.Module):
    """Two convolutions and a mean, written out."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3, padding=1)
        self.two = nn.Conv2d(4, 5, 3, stride=2, padding=1)
        self.last = nn.Linear(5, 2)

    def forward(self, pixels_NCHW):
        return self.last(self.two(self.one(pixels_NCHW).tanh()).mean((2, 3)))


def test_grad_cam_is_the_formula_by_differences():
    torch.manual_seed(0)
    model, pixels = Tiny().double().eval(), torch.randn(1, 3, 12, 10, dtype=torch.float64)
    ask = lambda: model(pixels)[:, 1]  # noqa: E731
    layer = pictured.last_map(model, ask)
    assert layer == "two"
    found = pictured.grad_cam(model, layer, ask)
    with torch.no_grad():
        map_CHW = model.two(model.one(pixels).tanh())[0]
        number = lambda each: model.last(each.mean((1, 2)))[1]  # noqa: E731
        weights = []
        for channel in range(len(map_CHW)):
            slopes = []
            for row in range(map_CHW.shape[1]):
                for column in range(map_CHW.shape[2]):
                    step = torch.zeros_like(map_CHW)
                    step[channel, row, column] = 1e-4
                    slopes.append(float((number(map_CHW + step) - number(map_CHW - step)) / 2e-4))
            weights.append(np.mean(slopes))
        expected = sum(w * each for w, each in zip(weights, map_CHW.numpy(), strict=True)).clip(0)
    assert np.allclose(found, expected, atol=1e-9)
    assert found.any()


def test_tokens_behind_a_map_leave_none_and_so_do_few_cells():
    with_tokens = nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), nn.Flatten(2), nn.Linear(64, 64))
    assert pictured.last_map(with_tokens, lambda: with_tokens(torch.randn(1, 3, 16, 16))) == ""
    few = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.Flatten())
    assert pictured.last_map(few, lambda: few(torch.randn(1, 3, 16, 16))) == ""


def test_cells_hold_all_of_a_picture_and_a_cell_left_out_is_one_of_them():
    values = np.random.default_rng(0).normal(size=(17, 5))
    grid = pictured.in_cells(values, mean=False)
    assert grid.shape == (7, 5)
    assert grid.sum() == pytest.approx(values.sum())
    pixels = torch.rand(3, 17, 5)
    score = lambda rows: rows[:, 0].sum((1, 2))  # noqa: E731
    sums = pictured.in_cells(pixels[0].numpy().astype(float), mean=False)
    blank = torch.zeros(3, 1, 1).expand_as(pixels)
    parts = pictured.parts(sums)
    *each, most, least = pictured.without(score, pixels, blank, parts, value=float(pixels[0].sum()))
    assert np.allclose(np.reshape(each, (7, 5)), sums, atol=1e-4)
    ordered = np.sort(sums.ravel())
    assert most == pytest.approx(ordered[-9:].sum(), abs=1e-3)
    assert least == pytest.approx(ordered[:9].sum(), abs=1e-3)


@pytest.mark.parametrize("family", ["resnet", "vit"])
def test_the_part_that_a_processor_reads_is_seen(family):
    """The toy ResNet's cuts the middle square out, the ViT's stretches the whole picture."""
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(toy(family))
    make = lambda picture: processor(images=[picture], return_tensors="pt")["pixel_values"][0]  # noqa: E731
    part = pictured.part_read(make, (80, 40))
    expected = [0.25, 0, 0.75, 1] if family == "resnet" else [0, 0, 1, 1]
    assert part == pytest.approx(expected, abs=0.05)


def test_a_map_is_laid_over_the_part_that_was_read():
    heat = Heat("grad_cam", "x", [[1.0, 0.0], [0.0, -1.0]], [[0.0] * 2] * 2, 0.0, 0.0, [0.5, 0.0, 1.0, 1.0])
    laid = np.asarray(overlay.laid_over(Image.new("RGB", (80, 40), "white"), heat))
    assert (laid[:, :39] == 255).all()
    near = lambda colour, pixel: np.abs(pixel / 1.0 - (0.75 * np.array(colour) + 0.25 * 255)).max() < 3  # noqa: E731
    assert near(overlay.FOR, laid[1, 41])
    assert near(overlay.AGAINST, laid[-2, -2])
    assert (laid[1, -2] > 250).all()


@pytest.fixture(scope="module", params=["vit", "resnet"])
def run(request, tmp_path_factory):
    """A toy that tells the colours apart."""
    home = tmp_path_factory.mktemp(f"planted-{request.param}")
    recipe = {
        "model": _toy(request.param, home / "base"),
        "task": {"name": "image_classification"},
        "data": {"train": str(planted(home / "own", 80)), "near_duplicates": "keep"},
        "method": "full",
        "output_dir": str(home / "run"),
        "train": {
            "num_train_epochs": 16,
            "learning_rate": 5e-3,
            "per_device_train_batch_size": 8,
            "bf16": False,
            "logging_steps": 100,
        },
        "evaluate": {"untuned": False, "baseline": "none"},
    }
    recipe["train"] |= {"eval_strategy": "no", "load_best_model_at_end": False, "save_strategy": "no"}
    recipe["train"] |= {"early_stopping_patience": None}
    found = wt.train(recipe)
    assert found.results["metrics"]["tuned"]["accuracy"]["value"] > 0.9
    return SimpleNamespace(run=found, home=home, family=request.param)


def _toy(family, folder):
    """Of 32 x 32 pictures; the convolutions end in a map of 4 x 4 cells."""
    import transformers as T

    small = {"height": SIDE, "width": SIDE}
    if family == "vit":
        layers = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        config = T.ViTConfig(hidden_size=16, image_size=SIDE, patch_size=4, **layers)
    else:
        config = T.ResNetConfig(embedding_size=8, layer_type="basic", hidden_sizes=[16, 16], depths=[2, 1])
        config.downsample_in_first_stage = False
    torch.manual_seed(0)
    T.AutoModelForImageClassification.from_config(config).save_pretrained(folder)
    T.ViTImageProcessorPil(size=small).save_pretrained(folder)
    return str(folder)


def test_the_planted_patch_is_found_and_completeness_holds(run):
    located = 0
    for path in sorted((run.home / "own").rglob("*.png"))[::20]:
        label, (top, left) = path.parent.name, where(int(path.stem))
        (found,) = run.run.explain(path, steps=1024)
        (target,) = found.targets
        assert (target.name, target.what, found.image) == (label, "logit", str(path))
        assert target.heat.part == pytest.approx([0, 0, 1, 1], abs=0.05)
        if abs(target.value - target.baseline) < 0.1:  # said of whatever is not of the other colour
            assert any("one colour" in said for said in target.warnings)
            continue
        located += 1
        assert target.heat.without_most > target.heat.without_least
        assert not any("trust the map little" in said for said in target.warnings)
        shares = np.array(target.heat.shares)
        row, column = np.unravel_index(shares.argmax(), shares.shape)
        cell = SIDE / len(shares)
        assert top - cell <= row * cell <= top + PATCH
        assert left - cell <= column * cell <= left + PATCH
        if run.family == "vit":
            assert target.heat.way == "integrated_gradients"
            change = target.value - target.baseline
            assert np.sum(target.heat.shares) == pytest.approx(change, rel=0.05)
            assert target.gap == pytest.approx(
                abs(np.sum(target.heat.shares) - change) / abs(change), abs=1e-3
            )
            assert (target.gap >= 0.01) == any("steps" in said for said in target.warnings)
        else:
            assert target.heat.way == "grad_cam"
            assert target.heat.layer
    assert located


def test_it_is_told_in_a_terminal_in_json_on_a_page_and_in_the_runs_page(run, tmp_path, capsys):
    path = sorted((run.home / "own" / "green").glob("*.png"))[0]
    words = ["explain", str(run.run.path), str(path), "--similar", "2", "--attention"]
    assert command([*words, "--html", str(tmp_path / "why.html"), "--label", "red"]) == 0
    said = capsys.readouterr().out
    assert "red  logit" in said
    assert "█" in said or "-" in said
    assert "not defined here" in said
    assert len(re.findall(r"^\d\.\d{3}  (?:red|green)  (?:red|green)/\d+\.png", said, re.M)) == 2
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert page.count('<img src="data:image/jpeg;base64,') == 2
    assert "Orange parts" in page
    assert command([*words[:3], "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert np.shape(told["targets"][0]["heat"]["shares"]) == np.shape(told["targets"][0]["heat"]["without"])
    found = wt.explain_rows(run.run, errors=1, rows=2)
    shown = run.run.report.read_text(encoding="utf-8").partition('<section id="explained"')[2]
    shown = shown.partition("</section>")[0]
    assert shown.count('<img src="data:image/jpeg;base64,') == 2 * len(found)
    assert all(one.place in shown and one.expected in COLOURS for one in found)


def test_an_unknown_label_is_named(run):
    with pytest.raises(WeitiaoError, match="no_such_target"):
        run.run.explain(sorted((run.home / "own").rglob("*.png"))[0], asked=["middle"])
