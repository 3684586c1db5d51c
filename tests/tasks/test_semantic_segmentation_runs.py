"""A run that labels pixels, from a folder of masks to predictions: as a user goes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.masked import LABELS, mask_folders
from weitiao import api
from weitiao.cli import run as ask
from weitiao.core.files import read_lines
from weitiao.data.pictures import masks

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def yard(tmp_path_factory):
    return mask_folders(tmp_path_factory.mktemp("yard"), 24)


@pytest.fixture(scope="module")
def run(yard, segformer, tmp_path_factory):
    return api.train(
        {
            "task": {"name": "semantic_segmentation", "augment": ["flip"]},
            "model": segformer,
            "data": {"train": str(yard), "near_duplicates": "keep"},
            "method": "full",
            "train": {
                "max_steps": 4,
                "per_device_train_batch_size": 4,
                "gradient_accumulation_steps": 2,
                "learning_rate": 1e-3,
                "eval_steps": 2,
            },
            "output_dir": str(tmp_path_factory.mktemp("runs") / "yard"),
        }
    )


def test_it_is_judged_beside_the_baselines_and_its_page_shows_masks(run):
    assert {*run.results["metrics"]} >= {"tuned", "untuned", "colours", "majority_pixel"}
    assert {*run.results["metrics"]["tuned"]} >= {"mean_iou", "mean_dice", "pixel_accuracy"}
    assert {*run.results["sections"]} >= {"labels_of_pixels", "pixel_confusion", "wrong_pixels"}
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "Worst pictures" in page
    told = read_lines(run.path / "predictions.jsonl")
    assert masks.read(told[0]["mask"]).shape == (told[0]["height"], told[0]["width"])


def test_masks_and_pictures_are_written(run, yard, tmp_path, capsys):
    seen = tmp_path / "seen"
    words = ["predict", str(run.path), str(yard / "images/00.png"), "--json", "--drawn", str(seen)]
    assert ask(words) == 0
    answer = json.loads(capsys.readouterr().out)
    assert sum(answer["shares"].values()) == pytest.approx(1, abs=1e-5)
    with Image.open(seen / "00-mask.png") as mask, Image.open(yard / "images/00.png") as picture:
        value = np.asarray(mask)
        assert value.shape == picture.size[::-1]
    for label, share in answer["shares"].items():
        assert (value == LABELS.index(label)).mean() == pytest.approx(share, abs=1e-5)
    assert answer["files"] == [str(seen / "00-mask.png")]
    with Image.open(seen / "00.png") as drawn:
        assert drawn.width >= 288
