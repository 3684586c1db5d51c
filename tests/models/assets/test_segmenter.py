"""The segmenter to begin with is one of Transformers' own, the same each time, and what rows with masks get by default."""

from __future__ import annotations

import torch
import transformers
import yaml
from PIL import Image
from safetensors.torch import load_file

import weitiao as wt
from tests.masked import mask_folders
from weitiao import api
from weitiao.models import batch_norms
from weitiao.models.assets.catalog import MODELS, lies_here, model_path


def test_it_is_made_without_a_download_and_opens_with_plain_transformers(tmp_path, monkeypatch):
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "cache"))
    folder = model_path("upernet-small")
    assert lies_here("upernet-small")
    model = transformers.AutoModelForSemanticSegmentation.from_pretrained(folder)
    assert sum(weight.numel() for weight in model.parameters()) == MODELS["upernet-small"].parameters
    assert batch_norms.untaught(model)
    reads = transformers.AutoImageProcessor.from_pretrained(folder)
    pixels = reads(Image.new("RGB", (50, 40)), return_tensors="pt")
    assert model.eval()(**pixels).logits.shape[2:] == (96, 96)
    first = load_file(folder / "model.safetensors")
    (folder / "weitiao.json").unlink()
    again = load_file(model_path("upernet-small") / "model.safetensors")
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_rows_with_masks_get_it_and_it_is_said_that_all_of_it_has_to_learn(tmp_path):
    said = []
    rows = mask_folders(tmp_path, 4)
    recipe = yaml.safe_load(api.init(rows, tell=lambda kind, **facts: said.append(facts["text"])))
    assert recipe["model"] == "upernet-small"
    assert recipe["method"]["name"] == "full"
    assert recipe["task"]["name"] == "semantic_segmentation"
    assert "never taught" in said[-1]


def test_the_demo_is_of_scenes_and_begins_with_it():
    recipe = api.ready_recipe("demo-segment")
    assert (recipe["model"], recipe["data"]["train"]) == ("upernet-small", "clothes-scenes")
    # Its normalisations go by so many pictures.
    assert wt.Recipe.model_validate(recipe).train.per_device_train_batch_size == 16
