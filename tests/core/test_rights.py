"""Whatever a run writes has the rights that the umask gives: others of a group may read it where they may, and only there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import weitiao as wt
from tests.conftest import dialogues, reviews, write_csv, write_jsonl


@pytest.fixture
def masked(request, tmp_path, monkeypatch):
    """A cache of one's own under a umask."""
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "cache"))
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def wrong(folder: Path, umask: int) -> dict[str, str]:
    """Files and folders that have other rights than `open` and `mkdir` would have given them."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        rights = stat.S_IMODE(path.stat().st_mode)
        wanted = (0o777 if path.is_dir() else 0o666) & ~umask
        if rights != wanted:
            found[str(path.relative_to(folder))] = oct(rights)
    return found


@pytest.mark.parametrize("masked", [0o022, 0o002, 0o077], indirect=True, ids=oct)
def test_a_run_its_checkpoints_cache_and_merged_model_have_the_rights_of_the_umask(masked, llama, tmp_path):
    rows = [*dialogues(24), {"prompt": "", "completion": ""}]
    run = wt.train(
        model=llama,
        task="sft",
        method="lora",
        data={"train": str(write_jsonl(tmp_path / "rows.jsonl", rows)), "max_dropped_fraction": 0.5},
        train={"max_steps": 2, "bf16": False, "save_strategy": "steps", "save_steps": 1, "ema_decay": 0.9},
        evaluate={"resamples": 100, "samples": 1, "max_new_tokens": 2},
        output_dir=str(tmp_path / "run"),
    )
    run.merge(tmp_path / "merged")
    written = {path.name for path in run.path.rglob("*")}
    assert {"adapter_model.safetensors", "ema.safetensors", "quarantine.jsonl", "report.html"} <= written
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    assert list((tmp_path / "cache" / "encoded").glob("*/*.bin"))
    for folder in (run.path, tmp_path / "merged", tmp_path / "cache"):
        assert wrong(folder, masked) == {}


@pytest.mark.parametrize("masked", [0o002], indirect=True, ids=oct)
def test_a_whole_model_has_them_too(masked, bert, tmp_path):
    run = wt.train(
        model=bert,
        task="text_classification",
        method="full",
        data={"train": str(write_csv(tmp_path / "rows.csv", reviews(40)))},
        train={"max_steps": 1, "bf16": False},
        evaluate={"resamples": 100, "baseline": "none"},
        output_dir=str(tmp_path / "run"),
    )
    assert (run.path / "model" / "model.safetensors").is_file()
    assert wrong(run.path, masked) == {}
