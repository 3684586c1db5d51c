"""The adapter alone, as PEFT reads it: on the base it answers as the run does, wherever the base lies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from safetensors.torch import load_file, save_file

import weitiao as wt
from tests.conftest import reviews, write_csv
from tests.export import exports
from weitiao.core.errors import WeitiaoError

pytestmark = pytest.mark.whole
WEIGHTS = "adapter_model.safetensors"


def said(runner, **more: str) -> str:
    words = [sys.executable, str(runner), "a lovely story"]
    return subprocess.run(
        words, env=os.environ | more, capture_output=True, text=True, check=True, timeout=120
    ).stdout


def test_an_adapter_leaves_alone_and_answers_on_the_base_that_is_named(bert, tmp_path):
    run = exports.classifier(bert, tmp_path)
    found = run.export("peft")
    assert found.parity["apart"] < 1e-4
    assert not list(found.path.glob("model*.safetensors"))
    assert (found.path / WEIGHTS).read_bytes() == (run.folder.model / WEIGHTS).read_bytes()
    base = json.loads((found.path / "adapter_config.json").read_text())["base_model_name_or_path"]
    (label,) = run.predict(["a lovely story"])
    here = said(found.path / "runner.py")
    assert json.loads(here)["label"] == label["label"]
    # Another base says another thing: it is the named one that is asked.
    moved = shutil.copytree(base, tmp_path / "elsewhere")
    file = moved / "model.safetensors"
    save_file({name: weight * 2 for name, weight in load_file(file).items()}, file, {"format": "pt"})
    assert said(found.path / "runner.py", BASE=str(moved)) != here


def test_a_chat_models_adapter_writes_the_same_words_and_stops_where_it_learnt_to(llama, tmp_path):
    run = exports.speaker(llama, tmp_path)
    told = run.export("peft").parity
    assert told["spoken_alike"] == told["prompts"] > 0
    assert told["apart"] < 1e-4


@pytest.mark.parametrize("method", ["full", "adapter"])
def test_what_peft_cannot_read_is_refused_by_name(method, bert, tmp_path):
    rows = write_csv(tmp_path / "r.csv", reviews(80))
    run = exports.trained(bert, "text_classification", rows, tmp_path / "run", method=method, max_steps=1)
    with pytest.raises(WeitiaoError, match="no_such_form") as caught:
        wt.export(run, "peft")
    assert "no adapter that PEFT reads" in str(caught.value)
    assert not (run.path / "export").exists()
