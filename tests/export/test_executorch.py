"""A model as a program of ExecuTorch, run by its Python runtime; skipped where the extra `mobile` is not there."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec

import pytest

import weitiao as wt
from tests.export import exports
from tests.export.test_every_form import stages
from tests.pictures import class_folders, toy
from weitiao.export.forms.executorch import ROWS

pytestmark = [pytest.mark.whole, pytest.mark.filterwarnings("ignore")]  # of torchao, which ExecuTorch brings

if not find_spec("executorch"):
    pytest.skip("the extra `mobile` is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> wt.Run:
    folder = tmp_path_factory.mktemp("pictures")
    rows = class_folders(folder / "pictures", 60)
    words = {"method": {"name": "full"}, "learning_rate": 1e-3}
    return exports.trained(toy("resnet"), "image_classification", rows, folder / "run", **words)


def told(run: wt.Run) -> dict:
    return json.loads((run.path / "export/executorch/parity.json").read_text())


def test_texts_of_any_length_and_number_are_answered_alike(bert, tmp_path):
    run = exports.classifier(bert, tmp_path)
    said = run.export("executorch").parity
    assert said["apart"] < 1e-4
    assert said["argmax"] == said["told_alike"] == 1
    assert said["batches"] == [1, 7]
    assert said["lengths"][-1] == run.limit
    assert said["rows"] > ROWS


def test_pictures_are_answered_alike_and_faults_are_found(pictures, capsys):
    pictures.export("executorch")
    assert told(pictures)["apart"] < 1e-4
    assert told(pictures)["metric"]["tuned"] == told(pictures)["metric"]["exported"]
    forms = pictures.path / "export"
    mean = exports.edited("preprocessor_config.json", lambda rules: rules["image_mean"].reverse())
    exports.planted(forms / "executorch", "mean", mean)
    exports.planted(forms / "executorch", "order", exports.edited("config.json", exports.swapped))
    found = stages(pictures, capsys)
    for folder in found:
        shutil.rmtree(forms / folder)
    assert found == {"mean": "pixels", "order": "labels"}
