"""What holds on a CPU holds on a GPU: layouts, losses, bits, precision, memory, answers.

make gpu, or pytest tests/gpu;  elsewhere skipped
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import weitiao as wt
from tests.models import families
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.files import read_lines
from weitiao.evaluate.predict import predict
from weitiao.models import load, store, varlen
from weitiao.models.decoding import Decoding
from weitiao.models.decoding.draws import draw
from weitiao.train.loop import Watcher

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("device")]

WORDS = registry.build("task", {"name": "language_modeling"})
LABELS = registry.build("task", {"name": "text_classification", "labels": ["bad", "good"]})
UNJUDGED = {"untuned": False, "baseline": "none", "resamples": 100}


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_lines(folder / "log.jsonl") if line["event"] == "step"]


# --- rows beside each other


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "CausalLM") for name in ("llama", "mistral", "bloom", "gemma2", "mamba")),
        *((name, "SequenceClassification") for name in ("bert", "convbert")),
    ],
)
def test_rows_lie_as_on_a_cpu_and_are_rows_alone(name, kind, device, tmp_path):
    truth = families.built(name, kind)
    folder = families.saved(truth, tmp_path)
    task = WORDS if kind == "CausalLM" else LABELS
    on_cpu, found = load.load(folder, task), load.load(folder, task, device=device)
    assert next(found.model.parameters()).device.type == device
    assert found.layout is on_cpu.layout
    texts = ["abcdefghij", "Zyx", "mnOPqr", "b1c2d3e4f5"]
    records = [Record("toy", i, {"text": text, "label": "bad"}) for i, text in enumerate(texts, start=1)]
    rows = list(task.encode(records, found.processor, limit=32))
    for row, told in zip(rows, predict(found, task, rows, batch_size=4, device=device), strict=True):
        ids = torch.tensor([list(row.inputs["input_ids"])])
        with torch.no_grad():
            alone = truth(input_ids=ids).logits[0]
        if kind == "CausalLM":
            loss = F.cross_entropy(alone[:-1], ids[0, 1:], reduction="sum").item()
            assert told == {"loss": pytest.approx(loss, rel=1e-4), "tokens": ids.shape[1] - 1}
        else:
            shares = alone.softmax(-1).flatten().tolist()
            assert list(told["scores"].values()) == pytest.approx(shares, abs=1e-4)


@pytest.mark.parametrize("window", [None, 20])
@pytest.mark.parametrize(("heads", "keys", "width"), [(9, 3, 64), (8, 8, 128)])
def test_the_kernel_for_packed_rows_is_used_and_gives_what_the_masked_way_gives(
    heads, keys, width, window, device
):
    """Forward and backward in bfloat16, beside float32 on the same rounded numbers; rows other than its own trial's."""
    if device == "cpu":
        pytest.skip("the kernel is for GPUs")
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("flash attention wants compute capability 8.0")
    bounds = torch.tensor([0, 130, 131, 400, 512])
    chance = torch.Generator().manual_seed(3)
    drawn = [
        torch.randn(1, n, 512, width, generator=chance).to(device, torch.bfloat16)
        for n in (heads, keys, keys)
    ]
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        parts = [part.to(dtype).requires_grad_() for part in drawn]
        assert varlen.able(*parts, dropout=0.0, slides=window is not None) is (dtype is torch.bfloat16)
        y = varlen.attend(*parts, bounds, window=window)
        found.append([y, *torch.autograd.grad(y.float().square().sum(), parts)])
    for ours, exact in zip(*found, strict=True):
        assert (ours.float() - exact).norm() < 0.03 * exact.norm()


@pytest.mark.parametrize("name", ["lora", "adalora", "p_tuning", "prefix", "adapter", "unipelt"])
def test_a_seed_is_one_start_on_every_device(name, llama, device):
    task, method = registry.build("task", {"name": "sft"}), registry.build("method", {"name": name})
    here, there = load.load(llama, task), load.load(llama, task, device=device)
    for loaded in (here, there):
        store.prepare(loaded, method, seed=5)
    assert {weight.device.type for weight in there.trained.values()} == {device}
    assert list(here.trained) == list(there.trained)
    assert all(torch.equal(weight, there.trained[name].cpu()) for name, weight in here.trained.items())


def test_answers_filled_up_on_the_left_are_answers_alone(device, tmp_path):
    truth = families.built("llama", "CausalLM")
    found = load.load(families.saved(truth, tmp_path), WORDS, device=device)
    found.processor.padding_side = "left"
    asked = ["abc", "defghijklm", "Zyxwv"]
    options = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, "max_new_tokens": 6}
    batch = found.processor(asked, add_special_tokens=False, padding=True, return_tensors="pt").to(device)
    with torch.no_grad():
        together = found.model.generate(**batch, **options)[:, batch["input_ids"].shape[1] :].tolist()
        for text, said in zip(asked, together, strict=True):
            ids = found.processor(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
            for _ in range(6):
                ids = torch.cat([ids, truth(input_ids=ids, use_cache=False).logits[:, -1:].argmax(-1)], 1)
            assert said == ids[0, -6:].tolist()


@pytest.mark.parametrize("words", [{"top_k": None}, {"top_k": 40, "top_p": 0.9}])
def test_what_is_drawn_is_what_a_cpu_draws(device, words):
    scores_NV = 3 * torch.randn(40, 5000, generator=torch.Generator().manual_seed(0))
    asked = Decoding(max_new_tokens=1, stops=frozenset(), limit=9, sample=True, seed=3, **words)
    places = [(row, row % 3) for row in range(40)]
    here, there = (draw(scores_NV.to(each), asked, places, None) for each in ("cpu", device))
    assert here[0].tolist() == there[0].tolist()
    torch.testing.assert_close(here[1], there[1].cpu(), rtol=0, atol=1e-5)


# --- training


def on_the_cpu(recipe: dict, place: Path) -> list[float]:
    """The same run by a process that sees no GPU."""
    recipe = {**recipe, "output_dir": str(place / "cpu")}
    (place / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    words = [sys.executable, "-m", "weitiao", "train", place / "recipe.json", "--quiet"]
    done = subprocess.run(
        words, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return losses(place / "cpu")


@pytest.mark.parametrize(
    ("kind", "words"), [("classify", {"dropout": 0.0}), ("converse", {"gradient_accumulation_steps": 2})]
)
def test_losses_follow_those_of_a_cpu(request, kind, words, tmp_path):
    recipe = request.getfixturevalue(kind)
    words = {"num_train_epochs": 2, "max_steps": 12, "learning_rate": 1e-3, "save_strategy": "no", **words}
    recipe = recipe(method="full", evaluate=UNJUDGED, **words)
    wt.train(recipe)
    here = losses(tmp_path / "run")
    assert len(here) == 12
    assert here[-1] < here[0]
    assert here == pytest.approx(on_the_cpu(recipe, tmp_path), rel=1e-4)


@pytest.mark.parametrize("half", ["bf16", "fp16"])
def test_half_precision_learns_what_float32_learns(converse, half, device, tmp_path):
    if (half, device) == ("fp16", "cpu"):
        pytest.skip("fp16 is for GPUs")
    words = {"num_train_epochs": 2, "max_steps": 20, "learning_rate": 5e-3, "save_strategy": "no"}
    for name, way in (("float32", {}), (half, {half: True})):
        wt.train(converse(output_dir=str(tmp_path / name), method="full", evaluate=UNJUDGED, **words, **way))
    exact, halved = losses(tmp_path / "float32"), losses(tmp_path / half)
    assert exact != halved, "it was in half precision"
    assert exact[-1] < 0.9 * exact[0]
    if half == "bf16":
        assert halved == pytest.approx(exact, rel=0.02)
    else:  # first steps overflow until the scale fits, and are left out: it is a few steps behind
        assert sum(halved[-5:]) == pytest.approx(sum(exact[-5:]), rel=0.1)


class Killed(BaseException):
    """Ends a run as kill -9 would."""


class KillAt(Watcher):
    def on_step(self, training):
        if training.state.step == 7:
            raise Killed


@pytest.mark.parametrize("kind", ["classify", "converse"])
def test_a_killed_run_goes_on_to_the_last_bit(request, kind, tmp_path):
    from safetensors.torch import load_file
    from torch.nn.attention import SDPBackend, sdpa_kernel

    recipe, words = request.getfixturevalue(kind), {"method": "lora", "max_steps": 10, "save_steps": 3}
    whole, halved = (
        recipe(output_dir=str(tmp_path / name), evaluate=UNJUDGED, **words) for name in ("whole", "halved")
    )
    torch.use_deterministic_algorithms(True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            wt.train(whole)
            with pytest.raises(Killed):
                wt.train(halved, watchers=[KillAt()])
            wt.train(halved, resume=True)
    finally:
        torch.use_deterministic_algorithms(False)
    assert [loss.hex() for loss in losses(tmp_path / "halved")] == [
        loss.hex() for loss in losses(tmp_path / "whole")
    ]
    one, two = (
        load_file(next((tmp_path / name / "model").glob("*.safetensors"))) for name in ("whole", "halved")
    )
    assert set(one) == set(two)
    assert all(torch.equal(one[name], two[name]) for name in one)


# --- memory


def test_a_frozen_base_in_bfloat16_never_takes_what_it_would_in_float32(
    device, llama, dialogue_file, tmp_path
):
    """The most that was held until training began, of a base whose linear layers are nearly all of it."""
    if device == "cpu":
        pytest.skip("what a GPU holds is counted there")
    from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM

    config = AutoConfig.from_pretrained(llama)
    config.update({"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 8, "head_dim": 128})
    config.num_hidden_layers = 16  # so large that work space of products is little
    base = LlamaForCausalLM(config)
    whole = 4 * sum(weight.numel() for weight in base.parameters())
    base.bfloat16().save_pretrained(tmp_path / "base")
    AutoTokenizer.from_pretrained(llama).save_pretrained(tmp_path / "base")
    del base
    peaks = []

    def tell(event, **_):
        if event == "training":
            peaks.append(torch.cuda.max_memory_allocated() - before)

    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    wt.train(
        model=str(tmp_path / "base"),
        task="sft",
        method="lora",
        data={"train": str(dialogue_file)},
        train={"max_steps": 1, "bf16": True, "per_device_train_batch_size": 2},
        evaluate={**UNJUDGED, "samples": 0},
        output_dir=str(tmp_path / "run"),
        tell=tell,
    )
    assert math.isfinite(losses(tmp_path / "run")[0])
    assert whole / 4 < peaks[0] < 0.6 * whole
