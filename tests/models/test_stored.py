"""What a tuned model is stored in: as its base was, or as asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import weitiao as wt
from tests.conftest import dialogues, write_jsonl
from weitiao.core.errors import WeitiaoError
from weitiao.models import stored

NORM = "model.norm.weight"  # of the base's files: kept more exactly than the rest


def kinds(folder: Path) -> set[str]:
    return {kind for name, (kind, _) in stored.kinds(str(folder)).items() if name != NORM}


@pytest.fixture(scope="module")
def base(llama, tmp_path_factory) -> str:
    """The toy Llama in bfloat16, but for one norm."""
    folder = tmp_path_factory.mktemp("stored") / "base"
    shutil.copytree(llama, folder)
    weights = load_file(folder / "model.safetensors")
    half = {name: weight if name == NORM else weight.bfloat16() for name, weight in weights.items()}
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text()) | {"dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    place = tmp_path_factory.mktemp("tuned")
    rows = str(write_jsonl(place / "rows.jsonl", dialogues(24)))

    def run(method: str, model: str = base) -> wt.Run:
        return wt.train(
            model=model,
            task="sft",
            method=method,
            data={"train": rows},
            train={"max_steps": 2, "bf16": False, "learning_rate": 0.01},
            evaluate={"resamples": 100, "untuned": False, "samples": 0},
            output_dir=str(place / f"{method}-{Path(model).name}"),
        )

    return run


def test_a_whole_model_is_stored_as_its_base_was_and_judged_as_it_is_stored(base, tuned):
    from transformers import AutoModelForCausalLM

    run = tuned("full")
    assert kinds(run.path / "model") == {"BF16"}
    assert stored.kinds(str(run.path / "model"))[NORM][0] == "F32"
    assert json.loads((run.path / "model" / "config.json").read_text())["dtype"] == "bfloat16"
    written = load_file(run.path / "model" / "model.safetensors")
    assert not torch.equal(written[NORM], load_file(f"{base}/model.safetensors")[NORM]), "it was trained"
    read = AutoModelForCausalLM.from_pretrained(run.path / "model", dtype=torch.float32)
    here = run.tuned.model.state_dict()
    assert all(torch.equal(weight, here[name]) for name, weight in read.state_dict().items())
    checkpoint = run.folder.checkpoints()[0]
    assert {weight.dtype for weight in load_file(checkpoint / "weights.safetensors").values()} == {
        torch.float32
    }


@pytest.mark.whole
def test_a_merged_model_is_stored_as_its_base_was_or_as_asked(tuned, tmp_path):
    run = tuned("lora")
    run.merge(tmp_path / "as_base")
    assert kinds(tmp_path / "as_base") == {"BF16"}
    exact, want = {}, {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
    for dtype, kind in want.items():
        run.merge(tmp_path / dtype, dtype=dtype)
        assert set(k for k, _ in stored.kinds(str(tmp_path / dtype)).values()) == {kind}
        assert json.loads((tmp_path / dtype / "config.json").read_text())["dtype"] == dtype
        exact[dtype] = load_file(tmp_path / dtype / "model.safetensors")
    for name, weight in load_file(tmp_path / "as_base" / "model.safetensors").items():
        rounded = exact["float32"][name] if name == NORM else exact["float32"][name].bfloat16()
        assert torch.equal(weight, rounded), "rounded once, behind the sum"
    with pytest.raises(WeitiaoError, match="wrong_usage(.|\n)*int8(.|\n)*float32, bfloat16, float16"):
        run.merge(tmp_path / "other", dtype="int8")


@pytest.mark.whole
def test_a_number_too_large_for_float16_is_refused_by_name(base, tuned, tmp_path):
    shutil.copytree(base, tmp_path / "large")
    weights = load_file(tmp_path / "large" / "model.safetensors")
    weights["model.embed_tokens.weight"][0, 0] = 1e5
    save_file(weights, tmp_path / "large" / "model.safetensors", metadata={"format": "pt"})
    run = tuned("lora", str(tmp_path / "large"))
    with pytest.raises(WeitiaoError, match="embed_tokens.weight holds numbers too large"):
        run.merge(tmp_path / "merged", dtype="float16")
    assert not (tmp_path / "merged").exists()


def test_a_base_in_float32_stays_that(llama, tuned, tmp_path):
    assert stored.precision(llama) == "float32"
    assert stored.precision("nobody/knows-this") == "float32"
    (tmp_path / "config.json").write_text('{"dtype": "bfloat16"}')
    assert stored.precision(str(tmp_path)) == "bfloat16", "a hub id's weights are still to come"
    assert kinds(tuned("full", llama).path / "model") == {"F32"}
