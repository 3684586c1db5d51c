"""Frozen layers that are read in the half precision of their files: the same numbers, in half the memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import weitiao as wt
from tests.conftest import dialogues, write_jsonl
from weitiao.core import registry
from weitiao.core.recipe import Recipe
from weitiao.forecast.memory import Forecast
from weitiao.models import anatomy, load, output_loss, store, stored

TASKS = {"bert": {"name": "text_classification", "labels": ["a", "b"]}, "llama": {"name": "sft"}}
METHODS = {
    "lora": {"name": "lora", "r": 2},
    "from the weights": {"name": "lora", "r": 2, "init_lora_weights": "pissa", "use_dora": True},
    "norms too": {"name": "adapter", "train_layer_norms": True},
    "for use": None,
}


def halved(source: str, folder, dtype=torch.bfloat16) -> str:
    """The base, stored in half precision."""
    shutil.copytree(source, folder)
    weights = load_file(folder / "model.safetensors")
    save_file({n: w.to(dtype) for n, w in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text()) | {"dtype": str(dtype).partition(".")[2]}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.fixture(scope="module")
def bases(bert, llama, tmp_path_factory):
    place = tmp_path_factory.mktemp("halved")
    return {"bert": halved(bert, place / "bert"), "llama": halved(llama, place / "llama")}


def opened(ref: str, task, method, *, half):
    loaded = store.open_base(ref, task, method, half=half, seed=3)
    early = {name: weight.dtype for name, weight in loaded.model.named_parameters()}
    if method:
        store.prepare(loaded, method, seed=3)
    else:
        loaded.model.requires_grad_(False)
    anatomy.cast_frozen(loaded.model, "bfloat16")
    return loaded, early


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("family", TASKS)
def test_the_numbers_are_those_of_a_base_read_in_float32_and_cast(bases, family, method):
    task = registry.build("task", TASKS[family])
    method = registry.build("method", method) if method else None
    (ours, early), (theirs, _) = (
        opened(bases[family], task, method, half=half) for half in ("bfloat16", None)
    )
    assert torch.bfloat16 in early.values()
    assert all(early[name] == torch.float32 for name in early if name in ours.head or "embed" in name)
    for kind in ("named_parameters", "named_buffers"):
        mine, other = (dict(getattr(each.model, kind)()) for each in (ours, theirs))
        assert mine.keys() == other.keys()
        for name, weight in mine.items():
            assert weight.dtype == other[name].dtype, name
            assert torch.equal(weight, other[name]), name
            assert weight.requires_grad == other[name].requires_grad, name
    assert ours.layout == theirs.layout
    assert output_loss.is_plain(ours.model) == output_loss.is_plain(theirs.model)


def test_a_base_in_another_precision_is_read_as_before(bert, tmp_path):
    task, lora = registry.build("task", TASKS["bert"]), registry.build("method", METHODS["lora"])
    for base in (bert, halved(bert, tmp_path / "float16", torch.float16)):
        _, early = opened(base, task, lora, half="bfloat16")
        assert set(early.values()) == {torch.float32}
    whole = registry.build("method", {"name": "full"})
    _, early = opened(halved(bert, tmp_path / "bfloat16"), task, whole, half="bfloat16")
    assert set(early.values()) == {torch.float32}, "what is trained is trained in float32"


@pytest.mark.whole
def test_a_run_is_the_same_to_the_last_bit(bases, tmp_path, monkeypatch):
    rows = str(write_jsonl(tmp_path / "rows.jsonl", dialogues(24)))

    def run(name: str, **words) -> wt.Run:
        return wt.train(
            model=bases["llama"],
            task="sft",
            method={"name": "lora", "r": 2},
            data={"train": rows},
            train={"max_steps": 3, "bf16": True, "learning_rate": 0.01},
            evaluate={
                "resamples": 100,
                "untuned": False,
                "baseline": "none",
                "samples": 1,
                "max_new_tokens": 2,
            },
            output_dir=str(tmp_path / name),
            **words,
        )

    ours = run("halved")
    again = run("halved-again", start_from=str(ours.path))
    monkeypatch.setattr(
        stored, "precision", lambda source: "float32"
    )  # so that nothing is read in half precision
    before = run("whole")
    further = run("whole-again", start_from=str(before.path))
    for one, other in ((ours, before), (again, further)):
        assert one.results["metrics"] == other.results["metrics"]
        assert one.results["sections"]["samples"] == other.results["sections"]["samples"]
        mine, theirs = (load_file(each.path / "model" / "adapter_model.safetensors") for each in (one, other))
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(weight, theirs[name]) for name, weight in mine.items())


def test_the_forecast_knows(bases):
    recipe = {"model": bases["llama"], "task": {"name": "sft"}, "output_dir": "unused"}
    task, lora = registry.build("task", TASKS["llama"]), registry.build("method", METHODS["lora"])

    def load(train: dict) -> int:
        return Forecast(Recipe.read({**recipe, "train": train}), task, lora).load().total

    model = store.open_base(bases["llama"], task).model
    linears = sum(weight.numel() for name, weight in model.named_parameters() if "proj" in name)
    others = sum(weight.numel() for weight in model.parameters()) - linears
    table = (
        model.get_input_embeddings().weight.numel()
    )  # tied: copied for the output layer, and the widest of all
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in model.buffers())
    assert load({"bf16": True}) == 2 * linears + 4 * others + 2 * table + buffers + 4 * max(table, 64 * 32)
    assert load({"bf16": False}) == (4 + 2) * (linears + others) + buffers


OPEN = """
import re, sys
from pathlib import Path
from weitiao.core import registry
from weitiao.models import store
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1e3
task, lora = registry.build("task", {"name": "sft"}), registry.build("method", {"name": "lora"})
store.open_base(sys.argv[2], task, lora)  # a small one, so that everything is imported
before = peak()
for half in ("bfloat16", None):  # the second one holds more
    store.open_base(sys.argv[1], task, lora, half=half)
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
@pytest.mark.whole
def test_a_base_never_lies_in_float32(llama, tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    shutil.copytree(llama, tmp_path / "large")
    sizes = {"hidden_size": 512, "intermediate_size": 6144, "num_hidden_layers": 4, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=64, max_position_embeddings=64, pad_token_id=1, eos_token_id=1, **sizes)
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    model.to(torch.bfloat16).to_empty(device="cpu")
    for weight in model.parameters():
        torch.nn.init.constant_(weight, 0.01)
    model.save_pretrained(tmp_path / "large")
    size = sum(file.stat().st_size for file in stored.weight_files(str(tmp_path / "large"))) / 1e6

    words = [sys.executable, "-c", OPEN, str(tmp_path / "large"), llama]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    halves, whole = map(float, told.split())
    assert halves < 2 * size, "itself, and one layer after the other in float32 while it is examined"
    assert whole > 2.25 * size


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
@pytest.mark.parametrize("family", TASKS)
def test_what_is_read_in_half_precision_is_the_mapped_file(bases, family):
    """No copy of it lies in the machine's memory: what goes on to a GPU from here comes from the file."""
    method = registry.build("method", METHODS["lora"])
    task = registry.build("task", TASKS[family])
    loaded = store.open_base(bases[family], task, method, half="bfloat16", seed=3)
    file = f"{bases[family]}/model.safetensors"
    lines = [line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines()]
    parts = [[int(end, 16) for end in line[0].split("-")] for line in lines if line[5:] == [file]]
    halves = {
        name: weight.data_ptr()
        for name, weight in loaded.model.named_parameters()
        if weight.dtype == torch.bfloat16
    }
    assert len(halves) >= 12
    assert [name for name, place in halves.items() if not any(a <= place < b for a, b in parts)] == []


def test_weights_go_straight_onto_a_gpu_where_no_head_is_drawn():
    # What Transformers does then nobody has measured here; this is what it is asked.
    words, labels = (registry.build("task", TASKS[family]) for family in ("llama", "bert"))
    assert load._placed(words, "cuda:1") == {"device_map": {"": "cuda:1"}}
    assert load._placed(labels, "cuda:1") == load._placed(words, "cpu") == {}
