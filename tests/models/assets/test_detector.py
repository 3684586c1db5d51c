"""The detector to begin with is one of Transformers' own, the same each time, and what rows with boxes get by default."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
import yaml
from PIL import Image
from safetensors.torch import load_file

import weitiao as wt
from weitiao import api
from weitiao.models import batch_norms
from weitiao.models.assets.catalog import MODELS, lies_here, model_path


def test_it_is_made_without_a_download_and_opens_with_plain_transformers(tmp_path, monkeypatch):
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "cache"))
    assert not lies_here("rtdetr-small")
    folder = model_path("rtdetr-small")
    assert lies_here("rtdetr-small")
    model = transformers.AutoModelForObjectDetection.from_pretrained(folder)
    assert sum(weight.numel() for weight in model.parameters()) == MODELS["rtdetr-small"].parameters
    assert batch_norms.untaught(model)
    pixels = transformers.AutoImageProcessor.from_pretrained(folder)(
        Image.new("RGB", (50, 40)), return_tensors="pt"
    )
    assert model.eval()(**pixels).pred_boxes.shape == (1, 12, 4)
    first = load_file(folder / "model.safetensors")
    (folder / "weitiao.json").unlink()
    again = load_file(model_path("rtdetr-small") / "model.safetensors")
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_rows_with_boxes_get_it_and_it_is_said_that_all_of_it_has_to_learn(tmp_path):
    for number in range(1, 5):
        Image.new("RGB", (30, 20), (number, 0, 0)).save(tmp_path / f"{number}.png")
    images = [{"id": n, "file_name": f"{n}.png", "width": 30, "height": 20} for n in range(1, 5)]
    boxes = [
        {"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 9, 9], "iscrowd": 0} for n in range(1, 5)
    ]
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}
    file = Path(tmp_path / "own.json")
    file.write_text(json.dumps(content), encoding="utf-8")
    said = []
    recipe = yaml.safe_load(api.init(file, tell=lambda kind, **facts: said.append(facts["text"])))
    assert recipe["model"] == "rtdetr-small"
    assert recipe["method"]["name"] == "full"
    assert recipe["task"]["name"] == "object_detection"
    assert "never taught" in said[-1]


def test_the_demo_is_of_scenes_and_begins_with_it():
    recipe = api.ready_recipe("demo-detect")
    assert (recipe["model"], recipe["data"]["train"]) == ("rtdetr-small", "clothes-scenes")
    # Its normalisations go by so many pictures.
    assert wt.Recipe.model_validate(recipe).train.per_device_train_batch_size == 16
