"""What holds for every task of pictures: one seed gives one run, a killed run goes on bit for bit, and a step is one however it is
cut, in micro-batches or by processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import transformers
from PIL import Image

import weitiao as wt
from tests.boxed import boxed
from tests.conftest import small_run, write_jsonl
from tests.drawn import denoiser as denoiser
from tests.masked import mask_folders
from tests.pictures import class_folders
from tests.train.test_loop import KillAt, Killed, events, steps, weights

pytestmark = pytest.mark.whole  # four trainings each

ROWS = 30
EXACT = {"max_grad_norm": 0, "learning_rate": 1e-3, "eval_steps": 50, "max_steps": 5, "warmup_steps": 0}
NOTHING_BESIDE = {"untuned": False, "baseline": "none", "answers": 0}


def box_table(folder: Path, count: int) -> Path:
    """A table of pictures with boxes, and the pictures beside it."""
    rows = []
    for number, row in enumerate(boxed(count, seed=7)):
        Image.open(row["image"]).save(folder / f"{number}.png")
        rows.append({"image": f"{number}.png", "objects": row["objects"]})
    return write_jsonl(folder / "boxes.jsonl", rows)


def with_statistics(folder: str, home: Path) -> str:
    """The toy as one that has seen something: layers that nobody has trained go by the micro-batch (`test_untrained_norms.py`)."""
    model = transformers.AutoModelForSemanticSegmentation.from_pretrained(folder)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.fill_(0.5)
    model.save_pretrained(home / "base")
    transformers.AutoImageProcessor.from_pretrained(folder).save_pretrained(home / "base")
    return str(home / "base")


TASKS: dict[str, tuple[str, Callable[[Path, int], Path], dict[str, Any]]] = {
    "image_classification": ("vit", class_folders, {"augment": ["flip", "color"], "mixup_alpha": 0.2}),
    "object_detection": ("yolos", box_table, {"augment": ["flip", "crop"]}),
    "semantic_segmentation": ("segformer", mask_folders, {"augment": ["flip", "rotate"]}),
    "image_generation": ("denoiser", class_folders, {"augment": ["flip"], "judged_times": 1}),
}
"""By task: the toy, what writes its rows, and what changes with every row that comes."""


class Whole(NamedTuple):
    """A run that nothing disturbed, of two micro-batches a step."""

    recipe: Callable[..., dict[str, Any]]
    path: Path


@pytest.fixture(scope="module", params=TASKS)
def whole(request, tmp_path_factory) -> Whole:
    model, written, words = TASKS[request.param]
    home = tmp_path_factory.mktemp("pictures")
    (home / "rows").mkdir()
    rows = written(home / "rows", ROWS)
    task = {"name": request.param, **words}
    base = request.getfixturevalue(model)
    base = with_statistics(base, home) if model == "segformer" else base
    made = small_run(base, task, rows, home / "run", batch=4, judge=NOTHING_BESIDE)

    def recipe(name: str, **train: Any) -> dict[str, Any]:
        data = {"near_duplicates": "keep", "split": {"validation": 0.1, "test": 0.1}}
        one = made(output_dir=str(home / name), method="full", data=data, **{**EXACT, **train})
        # A table of one seed, whatever the batches are.
        return {**one, "train": {**one["train"], "train_sampling_strategy": "random"}}

    return Whole(recipe, wt.train(recipe("whole", gradient_accumulation_steps=2)).path)


def near(a: Path, b: Path) -> None:
    """The same steps up to the order in which floats were added."""
    one, other = events(a, "step"), events(b, "step")
    assert [line["rows"] for line in one] == [line["rows"] for line in other]
    assert [line["loss"] for line in one] == pytest.approx([line["loss"] for line in other], rel=2e-4)
    ours, theirs = weights_of(a), weights_of(b)
    assert all((ours[name] - theirs[name]).abs().max() < 3e-4 for name in ours)


def weights_of(path: Path) -> dict[str, Any]:
    """Of a pipeline those of its denoiser."""
    return weights(path) if any((path / "model").glob("*.safetensors")) else weights_below(path)


def weights_below(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    (file,) = (path / "model" / "unet").glob("*.safetensors")
    return load_file(file)


def test_a_killed_run_goes_on_bit_for_bit_and_one_seed_is_one_run(whole, tmp_path):
    recipe = whole.recipe("killed", gradient_accumulation_steps=2, save_steps=2)
    with pytest.raises(Killed):
        wt.train(recipe, watchers=[KillAt(3)])
    begun = steps(recipe["output_dir"])
    wt.train(recipe, resume=True)
    assert begun == steps(whole.path)[: len(begun)]
    assert steps(recipe["output_dir"]) == steps(whole.path)
    ours, theirs = weights_of(Path(recipe["output_dir"])), weights_of(whole.path)
    assert all(ours[name].equal(theirs[name]) for name in theirs)


def test_micro_batches_equal_one_batch(whole):
    near(wt.train(whole.recipe("one", per_device_train_batch_size=8)).path, whole.path)


def test_two_processes_equal_one(whole, two_processes):
    recipe = whole.recipe("two")
    two_processes.train(recipe)
    near(Path(recipe["output_dir"]), whole.path)
