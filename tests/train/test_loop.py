"""The engine: accumulation, schedules, watchers, interrupted and resumed runs, planted faults."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

import weitiao as wt
from tests.conftest import rarely, reviews, small_run, write_csv
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.core.run import RunFolder
from weitiao.train import checkpoint
from weitiao.train.loop import Watcher


def steps(path) -> list[str]:
    """Losses as hex floats: printed decimals would hide a last bit."""
    return [line["loss"].hex() for line in read_lines(Path(path) / "log.jsonl") if line["event"] == "step"]


def events(path, kind: str) -> list[dict]:
    return [line for line in read_lines(Path(path) / "log.jsonl") if line["event"] == kind]


def weights(path) -> dict[str, torch.Tensor]:
    (file,) = Path(path, "model").glob("*.safetensors")
    return load_file(file)


def same(a, b) -> bool:
    a, b = weights(a), weights(b)
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


class Killed(BaseException):
    """Ends a run at a step as kill -9 would: nothing of ours runs after it."""


class KillAt(Watcher):
    def __init__(self, step: int):
        self.step = step

    def on_step(self, training):
        if training.state.step == self.step:
            raise Killed


# ------------------------------------------------------------------ exactness

WINDOWS = {"max_length": 10, "overlong": "windows"}


@pytest.mark.whole
@pytest.mark.parametrize("kind", ["classify", "converse", "ask", "prefer", "like", "find", "rank"])
def test_two_runs_of_one_seed_are_equal_and_another_seed_is_not(request, kind, tmp_path):
    recipe = request.getfixturevalue(kind)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        wt.train(recipe(output_dir=str(tmp_path / name), seed=seed, max_steps=6))
    assert steps(tmp_path / "a") == steps(tmp_path / "b") != steps(tmp_path / "c")
    assert same(tmp_path / "a", tmp_path / "b")


@pytest.mark.whole
@pytest.mark.parametrize("kind", ["classify", "converse", "ask", "prefer", "like", "score", "rank"])
def test_accumulated_micro_batches_equal_one_batch(request, kind, tmp_path):
    """140 rows (56 in the other job) in steps of 12: the last step is a ragged one."""
    recipe = request.getfixturevalue(kind)
    plain = {"train_sampling_strategy": "random", "max_grad_norm": 0, "learning_rate": 1e-3, "seed": 2}
    wt.train(recipe(output_dir=str(tmp_path / "one"), method="full", per_device_train_batch_size=12, **plain))
    split = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 3}
    wt.train(recipe(output_dir=str(tmp_path / "three"), method="full", **split, **plain))
    one, three = events(tmp_path / "one", "step"), events(tmp_path / "three", "step")
    assert [line["rows"] for line in one] == [line["rows"] for line in three]
    assert one[-1]["rows"] < 12
    if kind in (
        "converse",
        "prefer",
        "like",
        "score",
    ):  # no dropout: the toy BERT has some, drawn for each micro-batch
        assert [line["loss"] for line in three] == pytest.approx([line["loss"] for line in one], rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "words", "at"),
    [
        rarely("classify", {"method": "lora"}, 6),
        rarely("classify", {"method": "full", "gradient_accumulation_steps": 2}, 7),
        rarely("classify", {"method": "head", "train_sampling_strategy": "random"}, 5),
        ("classify", {"method": {"name": "lora", "lora_dropout": 0.1}, "num_train_epochs": 2}, 23),
        rarely("converse", {"method": "lora", "gradient_accumulation_steps": 2}, 5),
        rarely("converse", {"method": "full"}, 4),
        rarely("ask", {"method": "lora", "data": WINDOWS}, 6),
        rarely("prefer", {"method": "lora"}, 6),
        rarely("prefer", {"method": "full", "gradient_accumulation_steps": 2, "data": {"cache": False}}, 5),
        rarely(
            "find", {"method": {"name": "lora", "lora_dropout": 0.1}, "gradient_accumulation_steps": 2}, 5
        ),
        rarely(
            "like", {"method": {"name": "lora", "lora_dropout": 0.1}, "gradient_accumulation_steps": 2}, 5
        ),
        rarely("score", {"method": "full"}, 5),
        rarely(
            "rank", {"method": {"name": "lora", "lora_dropout": 0.1}, "gradient_accumulation_steps": 2}, 5
        ),
    ],
)
def test_a_killed_and_resumed_run_equals_the_whole_one_bit_for_bit(request, kind, words, at, tmp_path):
    recipe = request.getfixturevalue(kind)
    wt.train(recipe(output_dir=str(tmp_path / "whole"), **words))
    halved = recipe(output_dir=str(tmp_path / "halved"), **words)
    with pytest.raises(Killed):
        wt.train(halved, watchers=[KillAt(at)])
    wt.train(halved, resume=True)
    assert steps(tmp_path / "halved") == steps(tmp_path / "whole")
    assert same(tmp_path / "halved", tmp_path / "whole")
    a, b = (wt.load(tmp_path / name).results["metrics"]["tuned"] for name in ("whole", "halved"))
    assert a == b


def run_in_a_process(recipe: dict, *flags: str) -> subprocess.Popen:
    file = Path(recipe["output_dir"]).with_suffix(".yaml")
    file.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    command = [sys.executable, "-m", "weitiao", "train", str(file), "--quiet", *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_step(folder: Path, step: int, process: subprocess.Popen) -> None:
    for _ in range(600):
        if len(events(folder, "step")) >= step:
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    pytest.fail("the run did not get that far")


@pytest.mark.whole
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGKILL, -9),
        (signal.SIGUSR1, 138),
    ],  # SIGTERM, SIGINT: tests/train/test_several_processes.py, tests/cli/test_bad_runs.py
    ids=["KILL", "USR1"],
)
def test_a_real_signal_and_a_resume_give_the_same_run(classify, tmp_path, number, code):
    words = {"num_train_epochs": 12, "save_steps": 3, "eval_steps": 50, "evaluate": {"untuned": False}}
    wt.train(classify(output_dir=str(tmp_path / "whole"), **words))
    recipe = classify(output_dir=str(tmp_path / "cut"), **words)
    process = run_in_a_process(recipe)
    wait_for_step(tmp_path / "cut", 8, process)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == code, said
    assert "Traceback" not in said
    if number != signal.SIGKILL:
        assert "--resume" in said
        last = events(tmp_path / "cut", "step")[-1]["step"]
        assert RunFolder(tmp_path / "cut").checkpoints()[0].name == f"checkpoint-{last}"
    wt.train(recipe, resume=True)
    assert steps(tmp_path / "cut") == steps(tmp_path / "whole")
    assert same(tmp_path / "cut", tmp_path / "whole")


# ------------------------------------------------------------------ checkpoints


@pytest.fixture(scope="module")
def killed_once(bert, tmp_path_factory):
    """A run killed at step 9, with checkpoints of steps 4 and 8; and the whole run beside it."""
    folder = tmp_path_factory.mktemp("harmed")
    rows, judge = write_csv(folder / "reviews.csv", reviews(200)), {"untuned": False, "baseline": "none"}
    recipe = small_run(bert, "text_classification", rows, folder / "killed", batch=8, judge=judge)(
        eval_strategy="no", load_best_model_at_end=False
    )
    with pytest.raises(Killed):
        wt.train(recipe, watchers=[KillAt(9)])
    shutil.copytree(folder / "killed", folder / "as it was")
    wt.train({**recipe, "output_dir": str(folder / "whole")})
    return recipe


@pytest.fixture
def killed(killed_once):
    """The same, as it was."""
    folder = Path(killed_once["output_dir"])
    shutil.rmtree(folder)
    shutil.copytree(folder.parent / "as it was", folder)
    return killed_once


FILES = ["weights.safetensors", "optimizer.safetensors", "state.json", "manifest.json"]
HARMS = ["cut", "gone", "bit"]


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        (name, harm) if harm == HARMS[place % len(HARMS)] and place % 2 else rarely(name, harm)
        for place, name in enumerate(FILES)
        for harm in HARMS
    ],
)
def test_a_harmed_checkpoint_is_passed_over_by_name(killed, name, harm):
    folder = Path(killed["output_dir"])
    file = folder / "checkpoint-8" / name
    raw = file.read_bytes()
    if harm == "gone":
        file.unlink()
    else:
        at = len(raw) // 2
        file.write_bytes(raw[:at] if harm == "cut" else raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
    if name == "manifest.json" and harm == "bit" and not checkpoint.fault_of(file.parent):
        pytest.skip("the flipped bit changed nothing that is read")  # e.g. white space
    with pytest.raises(WeitiaoError, match="no_sound_checkpoint"):
        wt.train(killed, strict_resume=True)
    notices = []
    wt.train(
        killed, resume=True, tell=lambda event, **facts: notices.append(facts) if event == "notice" else None
    )
    assert len(notices) == 1
    assert "checkpoint-8" in notices[0]["text"]
    # Out of the way: it neither fills a place of `save_total_limit` nor comes up at the next resume.
    assert (folder / "broken-checkpoint-8").is_dir()
    assert steps(folder) == steps(folder.parent / "whole")
    assert same(folder, folder.parent / "whole")


@pytest.mark.whole
@pytest.mark.parametrize(("call", "first"), [("fsync", 1), ("replace", 2)])
def test_a_save_that_fails_anywhere_leaves_the_last_one_good(classify, tmp_path, monkeypatch, call, first):
    """Fail the n-th fsync of a run, for n = 1, 3, 5, ... until a run passes, or the n-th rename, for n = 2, 4, 6, ...:
    a file is renamed behind its fsync, so every file meets one or the other."""
    judge = {"untuned": False, "baseline": "none"}
    recipe = classify(
        max_steps=4, save_steps=2, eval_strategy="no", load_best_model_at_end=False, evaluate=judge
    )
    wt.train({**recipe, "output_dir": str(tmp_path / "whole")})
    real, passed = getattr(os, call), False
    for n in range(first, 60, 2):
        calls = iter(range(1, 10**6))

        def failing(*args, calls=calls, n=n):
            if next(calls) == n:
                raise OSError(28, "No space left on device")
            return real(*args)

        here = {**recipe, "output_dir": str(tmp_path / f"{call}-{n}")}
        with monkeypatch.context() as patched:
            patched.setattr(os, call, failing)
            try:
                wt.train(here)
                passed = True
            except WeitiaoError as error:
                # What fails in the judge's files says that the model is whole, and why it is not judged.
                assert error.code == "disk_full" or "[disk_full]" in str(error)  # noqa: PT017 - one of many tries
        folder = RunFolder(tmp_path / f"{call}-{n}")
        assert not any(checkpoint.fault_of(p) for p in folder.checkpoints())
        wt.train(here, resume=True)
        assert steps(folder.path) == steps(tmp_path / "whole")
        assert same(folder.path, tmp_path / "whole")
        if passed:
            break
    assert passed
    assert n > 4


@pytest.mark.whole
def test_few_checkpoints_are_kept_and_the_best_always(classify, tmp_path):
    # A rate that ruins the model: the first evaluation stays the best.
    recipe = classify(
        method="full",
        learning_rate=0.5,
        num_train_epochs=2,
        save_total_limit=1,
        save_steps=5,
        lr_scheduler_type="constant",
    )
    wt.train(recipe)
    (end,) = events(tmp_path / "run", "end")
    assert end["best_step"] < end["step"]
    kept = {p.name for p in RunFolder(tmp_path / "run").checkpoints()}
    assert kept == {f"checkpoint-{end['best_step']}", f"checkpoint-{end['step']}"}
    best = load_file(tmp_path / "run" / f"checkpoint-{end['best_step']}" / "weights.safetensors")
    saved = weights(tmp_path / "run")
    assert all(torch.equal(saved[name], best[name]) for name in best)


def test_early_stopping_waits_for_its_patience(classify, tmp_path):
    wt.train(classify(method="full", learning_rate=0.5, num_train_epochs=8, early_stopping_patience=2))
    seen = [line["validation/loss"] for line in events(tmp_path / "run", "evaluate")]
    best = seen.index(min(seen))
    assert len(seen) == best + 3
    assert events(tmp_path / "run", "end")[0]["reason"] == "early_stop"


# ------------------------------------------------------------------ faults


class Poison(Watcher):
    """Puts a NaN into a trained weight after a step."""

    def __init__(self, step: int):
        self.step = step

    def on_step(self, training):
        if training.state.step == self.step:
            with torch.no_grad():
                training.model.classifier.weight[0, 0] = float("nan")


def test_a_nan_stops_the_run_before_the_step_and_names_it(classify, tmp_path):
    recipe = classify(save_steps=2, eval_strategy="no", load_best_model_at_end=False)
    with pytest.raises(WeitiaoError, match=r"not_finite\] step 6: the loss \(nan\)") as caught:
        wt.train(recipe, watchers=[Poison(5)])
    assert "reviews.csv line" in str(caught.value)
    assert "classifier" in str(caught.value)
    for folder in RunFolder(tmp_path / "run").checkpoints():
        kept = load_file(folder / "weights.safetensors")
        assert all(tensor.isfinite().all() for tensor in kept.values())
    wt.train(recipe, resume=True)


def test_a_resume_with_other_words_is_refused(classify, tmp_path):
    recipe = classify()
    with pytest.raises(Killed):
        wt.train(recipe, watchers=[KillAt(5)])
    with pytest.raises(WeitiaoError, match=r"other_recipe[\s\S]*learning_rate: 0.0005 -> 0.1"):
        wt.train({**recipe, "train": {**recipe["train"], "learning_rate": 0.1}}, resume=True)


@pytest.mark.whole
def test_log_lines_are_json_with_what_a_step_did(classify, tmp_path):
    wt.train(classify())
    for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines():
        json.loads(line)
    lines = events(tmp_path / "run", "step")
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert sum(line["rows"] for line in lines) == 140
    assert {"loss", "learning_rate", "grad_norm", "tokens", "trained", "padding", "seconds"} <= set(lines[0])


@pytest.mark.whole
def test_a_run_that_failed_before_its_first_step_starts_afresh(classify, tmp_path, review_file):
    good = review_file.read_text()
    review_file.write_text(good + "no label here,\n")
    with pytest.raises(WeitiaoError, match=r"lost_rows[\s\S]*line 202: the label is missing"):
        wt.train(classify())
    review_file.write_text(good)
    assert wt.train(classify(max_steps=2, method="head")).results


@pytest.mark.whole
def test_a_disk_that_fills_inside_safetensors_is_said_as_such(classify, tmp_path, monkeypatch):
    from safetensors import SafetensorError
    from safetensors import torch as tensors

    def full(*_):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(tensors, "save_file", full)
    with pytest.raises(WeitiaoError, match="disk_full"):
        wt.train(classify(max_steps=2))
    assert not RunFolder(tmp_path / "run").checkpoints()
    monkeypatch.undo()
    assert wt.train(classify(max_steps=2), resume=True).results
