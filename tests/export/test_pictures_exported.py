"""Models of pictures leave as graphs whose runner reads a file with Pillow and NumPy alone, as Transformers' processors do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import weitiao as wt
from tests import boxed, masked
from tests.conftest import write_jsonl
from tests.export import exports
from tests.export.test_every_form import stages
from tests.pictures import class_folders, toy
from weitiao.core.errors import WeitiaoError
from weitiao.export import pictures
from weitiao.export.eight_bits import in_bytes
from weitiao.export.picture_reader import pixels
from weitiao.stages.kept_rows import kept

pytestmark = pytest.mark.whole

FULL = {"method": {"name": "full"}, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> wt.Run:
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("pictures")
    rows = class_folders(folder / "pictures", 60)
    made = exports.trained(toy("resnet"), "image_classification", rows, folder / "run", **FULL)
    made.export("onnx")
    return made


def test_a_runner_without_torch_says_of_files_what_the_run_says(run, tmp_path):
    folder, paths = run.path / "export/onnx", []
    for number in range(3):
        shades = np.random.default_rng(number).integers(0, 256, (20 + number, 31, 3))
        paths.append(str(tmp_path / f"{number}.jpg"))
        Image.fromarray(shades.astype(np.uint8)).save(paths[-1])
    code = (
        "import runpy, sys, json\n"
        f"found = runpy.run_path({str(folder / 'runner.py')!r})\n"
        f"print(json.dumps(found['answers']([(path,) for path in {paths!r}])))\n"
        "assert not {'torch', 'transformers', 'weitiao'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-B", "-c", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    for ours, theirs in zip(run.predict(paths), json.loads(done.stdout), strict=True):
        assert theirs["label"] == ours["label"]
        assert theirs["scores"] == pytest.approx(ours["scores"], abs=1e-5)


def test_every_picture_is_compared_and_odd_ones_are_among_them(run):
    told = json.loads((run.path / "export/onnx/parity.json").read_text())
    assert told["rows"] == len(run.folder.json("data/split.json")["validation"])
    assert told["read_alike"] == told["rows"] + told["made"]
    assert told["made"] == 7
    assert told["batches"] == [1, 7]
    assert told["apart"] < 1e-4
    assert told["argmax"] == told["told_alike"] == 1
    assert told["answers_alike"] == 3 * told["read_alike"]
    assert told["metric"]["tuned"] == told["metric"]["exported"]


def test_planted_faults_are_found_where_pixels_are_made(run, capsys):
    forms = run.path / "export"
    swap = exports.replaced(
        "runner.py", "np.asarray(picture).transpose", "np.asarray(picture)[..., ::-1].transpose"
    )
    mean = exports.edited("preprocessor_config.json", lambda rules: rules["image_mean"].reverse())
    exports.planted(forms / "onnx", "swapped", swap)
    exports.planted(forms / "onnx", "mean", mean)
    exports.planted(forms / "onnx", "order", exports.edited("config.json", exports.swapped))
    found = stages(run, capsys)
    for folder in found:
        shutil.rmtree(forms / folder)
    assert found == {"swapped": "pixels", "mean": "pixels", "order": "labels"}


def test_convolutions_in_bytes_keep_the_score_where_their_ranges_are_those_of_training_rows(run, capsys):
    import onnx

    told = run.export("onnx", dtype="int8").parity
    assert abs(told["moved"]) <= 0.005
    assert 0 < told["apart"] < 0.1
    exact, rounded = (onnx.load(run.path / "export" / form / "model.onnx") for form in ("onnx", "onnx-int8"))
    weights = {one.name: list(one.dims) for one in exact.graph.initializer}
    convolutions = [weights[node.input[1]] for node in exact.graph.node if node.op_type == "Conv"]
    kernels = [list(one.dims) for one in rounded.graph.initializer if one.data_type == onnx.TensorProto.INT8]
    assert sorted(each for each in kernels if len(each) == 4) == sorted(convolutions[1:])
    assert not [node for node in rounded.graph.node if node.op_type.startswith("Dynamic")]

    def unlike(folder):  # ranges of pictures that nobody has
        black = {"pixel_values": np.zeros((2, 3, 16, 16), np.float32)}
        in_bytes(run.path / "export/onnx/model.onnx", folder / "model.onnx", seen=[black])

    exports.planted(run.path / "export/onnx-int8", "black", unlike)
    try:
        assert "black" in stages(run, capsys)
    finally:
        shutil.rmtree(run.path / "export/black")
        run.export("onnx")


def test_ranges_are_those_of_rows_that_trained_and_of_no_others(run):
    rules = pictures.rules(run.folder.model)
    split, own = run.folder.json("data/split.json"), {}
    for side in ("train", "validation", "test"):
        paths = [row.values["image"] for row, _ in kept(run.folder, side)]
        assert len(paths) == len(split[side])
        own[side] = {pixels(path, rules).tobytes() for path in paths}
    batches = list(pictures.learnt(run, run.folder.model, ["pixel_values"]))
    assert {each.tobytes() for batch in batches for each in batch["pixel_values"]} == own["train"]
    assert not own["train"] & (own["validation"] | own["test"])
    assert [len(batch["pixel_values"]) for batch in batches[:-1]] == [16] * (len(batches) - 1)


def test_a_processor_with_other_rules_is_told_by_name_before_anything_slow(run, tmp_path):
    for kind, rules in {
        "BitImageProcessor": {"do_center_crop": False},
        "GLPNImageProcessor": {"image_processor_type": "GLPNImageProcessor", "size_divisor": 16},
    }.items():
        shutil.copytree(run.folder.model, tmp_path / kind)
        exports.edited("preprocessor_config.json", lambda tree, rules=rules: tree.update(rules))(
            tmp_path / kind
        )
        other = SimpleNamespace(task=run.task, folder=SimpleNamespace(model=tmp_path / kind))
        assert kind in pictures.why_not(other)


@pytest.mark.skipif(bool(find_spec("executorch")), reason="the extra `mobile` is installed")
def test_a_form_without_its_extra_says_which_one(run):
    with pytest.raises(WeitiaoError) as caught:
        run.export("executorch")
    assert caught.value.code == "missing_extra"
    assert "mobile" in caught.value.text()


def processors() -> dict:
    import transformers as t

    edge, wide = {"shortest_edge": 24}, {"height": 18, "width": 24}
    return {
        "vit": t.ViTImageProcessorPil(size=wide),
        "crop": t.BitImageProcessorPil(size=edge, crop_size={"height": 21, "width": 20}),
        "larger": t.BitImageProcessorPil(size=edge, crop_size={"height": 31, "width": 28}),
        "convnext": t.ConvNextImageProcessorPil(size=edge),
        "warped": t.ConvNextImageProcessorPil(size={"shortest_edge": 384}),
        "efficientnet": t.EfficientNetImageProcessorPil(
            size=wide, rescale_factor=1 / 127.5, rescale_offset=True
        ),
        "plain": t.EfficientNetImageProcessorPil(size=wide, do_center_crop=True, include_top=False),
        "detr": t.DetrImageProcessorPil(size={"shortest_edge": 24, "longest_edge": 40}),
    }


@pytest.mark.parametrize("name", processors())
def test_pixels_are_those_of_the_processor(name, tmp_path):
    processor = processors()[name]
    processor.save_pretrained(tmp_path)
    rules = json.loads((tmp_path / "preprocessor_config.json").read_text())
    for number, (width, height) in enumerate(((24, 24), (37, 53), (120, 25), (9, 30), (40, 24))):
        shades = np.random.default_rng(number).integers(0, 256, (height, width, 3))
        picture = Image.fromarray(shades.astype(np.uint8))
        picture.save(tmp_path / "p.png")
        wanted = processor(images=[picture], return_tensors="np")["pixel_values"][0]
        found = pixels(str(tmp_path / "p.png"), rules)
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() < 1e-5


def test_boxes_leave_too(yolos, tmp_path):
    rows = []
    for number, row in enumerate(boxed.boxed(24)):
        shutil.copy(row["image"], tmp_path / f"{number}.png")
        rows.append({"image": f"{number}.png", "objects": row["objects"]})
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    run = exports.trained(yolos, "object_detection", file, tmp_path / "run", **FULL)
    told = run.export("onnx").parity
    assert told["apart"] < 1e-4
    assert told["metric"]["tuned"] == told["metric"]["exported"]
    said = answered(run.path / "export/onnx", [str(tmp_path / "0.png")])
    assert set(said) == {"things"}


def test_masks_leave_too(segformer, tmp_path):
    (tmp_path / "masks").mkdir()
    rows = masked.mask_folders(tmp_path / "masks", 24)
    run = exports.trained(segformer, "semantic_segmentation", rows, tmp_path / "run", **FULL)
    told = run.export("pt2").parity
    assert told["apart"] < 1e-4
    assert told["argmax"] == told["told_alike"] == 1
    said = answered(run.path / "export/pt2", [str(rows / "images" / "00.png")])
    assert sum(said["shares"].values()) == pytest.approx(1)
    assert {run.task.labels[place] for row in said["pixels"] for place in row} == {*said["shares"]}


def answered(folder: Path, words: list[str]) -> dict:
    """What its runner prints."""
    command = [sys.executable, "-I", "-B", str(folder / "runner.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
