"""A run folder, a disk or a user that stops a run: one coded message with the way out, and nothing broken."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli import test_bad_input
from tests.cli.test_bad_input import Said, listing, refused, trained, usable
from tests.conftest import rarely
from weitiao.core.files import read_lines
from weitiao.core.recipe import Recipe
from weitiao.core.run import claim

weitiao = test_bad_input.weitiao


@pytest.mark.whole
def test_an_output_folder_that_is_taken(weitiao):
    folder = trained(weitiao)
    before = listing(folder)
    refused(weitiao("train", "recipe.yaml"), "run_exists", "run", "judged", "--resume")
    refused(weitiao("train", "recipe.yaml", "seed=1", "--resume"), "other_recipe", "seed: 0 -> 1")
    lock = claim(Recipe.read(folder / "recipe.yaml"), resume=True)
    with lock:
        held = listing(folder)
        refused(weitiao("train", "recipe.yaml", "--resume"), "run_busy", f"process {os.getpid()}")
        assert listing(folder) == held
    assert listing(folder) == before
    assert weitiao("train", "recipe.yaml", "--resume").exit == 0, "it is done: nothing is left to do"
    assert listing(folder) == before


def test_an_output_folder_with_strangers(weitiao):
    Path("run").mkdir()
    Path("run/thesis.txt").write_text("dear")
    for words in ([], ["--resume"]):
        refused(weitiao("train", "recipe.yaml", *words), "folder_not_empty", "thesis.txt")
    assert listing(Path("run")) == {"thesis.txt": b"dear"}


def test_an_output_folder_that_is_a_file(weitiao):
    Path("run").write_text("dear")
    refused(weitiao("train", "recipe.yaml"), "not_a_folder", "run")
    refused(weitiao("train", "recipe.yaml", "output_dir=run/deeper"), "not_a_folder", "run/deeper")
    assert Path("run").read_text() == "dear"


def test_runs_that_are_none(weitiao):
    for words in (["predict", "nowhere", "text"], ["evaluate", "nowhere"]):
        refused(weitiao(*words), "no_run", "nowhere")
    with claim(Recipe.read("recipe.yaml"), resume=False):
        pass
    for words in (["predict", "run", "text"], ["evaluate", "run"]):
        refused(weitiao(*words), "unfinished_run", "run/recipe.yaml --resume")


def test_a_saved_model_that_was_changed(weitiao):
    weights = trained(weitiao) / "model" / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    for words in (["predict", "run", "text"], ["evaluate", "run"]):
        refused(weitiao(*words), "broken_model", "model.safetensors is changed")
    weights.unlink()
    refused(weitiao("predict", "run", "text"), "broken_model", "model.safetensors is missing")


# --- the machine


@pytest.mark.parametrize(
    ("number", "write"),
    [
        (each, write) if each == one and write in (0, 5) else rarely(each, write)
        for write, one in zip([0, 3, 5, 6, 8, 10], [errno.ENOSPC, errno.EACCES] * 3, strict=True)
        for each in (errno.ENOSPC, errno.EACCES)
    ],
)
def test_a_full_disk_or_a_closed_door_at_any_write_leaves_a_run_that_goes_on(
    number, write, weitiao, monkeypatch
):
    """Every file of a run comes into being by one rename; the n-th fails."""
    replace, renames = os.replace, []

    def failing(source, target):
        renames.append(target)
        if len(renames) > write:
            raise OSError(number, os.strerror(number), str(target))
        return replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing)
        said = weitiao("train", "recipe.yaml")
    code = {errno.ENOSPC: "disk_full", errno.EACCES: "no_permission"}[number]
    refused(said, code, str(renames[write]).rpartition("/")[2].removesuffix(".tmp").lstrip("."))
    assert not list(Path("run").rglob("*.tmp")), "nothing half-written stays"
    assert weitiao("train", "recipe.yaml", "--resume").exit == 0
    assert [line["step"] for line in read_lines(Path("run/log.jsonl")) if line["event"] == "step"] == [1, 2]
    assert weitiao("predict", "run", "great film").exit == 0


def test_a_table_that_may_not_be_read(weitiao, monkeypatch):
    if os.geteuid():
        Path("reviews.csv").chmod(0)
    else:  # to root every door is open
        opened = Path.open

        def denied(self, *how, **options):
            if self.name == "reviews.csv":
                raise PermissionError(errno.EACCES, "Permission denied")
            return opened(self, *how, **options)

        monkeypatch.setattr(Path, "open", denied)
    refused(weitiao("train", "recipe.yaml"), "no_permission", "read", "reviews.csv")
    usable()


def test_a_fault_of_ours_is_said_as_such(weitiao, monkeypatch):
    from weitiao import api

    def broken():
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(api, "schema", broken)
    refused(weitiao("schema"), "internal", "ZeroDivisionError: by zero", "--verbose")


# --- interruptions


def test_ctrl_c_outside_training(weitiao, monkeypatch):
    from weitiao import api

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "schema", interrupted)
    said = weitiao("schema")
    refused(said, "stopped", "Ctrl-C")
    assert said.exit == 130


@pytest.mark.whole  # a process of its own, as for other signals (tests/train/test_loop.py)
def test_ctrl_c_during_training_saves_and_resumes(weitiao):
    words = [
        "train",
        "recipe.yaml",
        "train.max_steps=150",
        "train.num_train_epochs=100",
        "train.save_strategy=no",
    ]
    words += ["train.load_best_model_at_end=false", "train.early_stopping_patience=null"]
    command = [sys.executable, "-m", "weitiao", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        log, patience_s = Path("run/log.jsonl"), time.monotonic() + 60
        while len(read_lines(log)) < 3 and child.poll() is None and time.monotonic() < patience_s:
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    said = Said(child.returncode, out, err)
    refused(said, "interrupted", "SIGINT", "weitiao train run/recipe.yaml --resume")
    assert said.exit == 130
    step = int(re.search(r"stopped at step (\d+)", err)[1])
    assert 0 < step < 150
    assert [path.name for path in Path("run").glob("checkpoint-*")] == [f"checkpoint-{step}"]
    assert not (Path("run") / "model").exists()
    # The way out, pasted.
    assert weitiao("train", "run/recipe.yaml", "--resume").exit == 0
    assert [line["step"] for line in read_lines(log) if line["event"] == "step"] == list(range(1, 151))
    assert (Path("run") / "report.html").exists()
