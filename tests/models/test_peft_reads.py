"""Which layers of a saved adapter PEFT leaves out is what PEFT then does."""

from __future__ import annotations

import sys

import pytest
import torch

from tests.models.families import built, saved
from weitiao.core import registry
from weitiao.models import store
from weitiao.models.load import load
from weitiao.models.peft_reads import left_out
from weitiao.models.quiet import quiet


def tuned(name: str, folder):
    """A toy's adapter of every layer, written; and the model that wrote it."""
    base = saved(built(name, "CausalLM"), folder / "base")
    task, method = (
        registry.build(*one)
        for one in (("task", {"name": "language_modeling"}), ("method", {"name": "lora", "r": 4}))
    )
    loaded = load(base, task)
    store.prepare(loaded, method, seed=0)
    with torch.no_grad():
        for weight in loaded.trained.values():
            weight += 0.1 * torch.randn_like(weight)
    store.save_tuned(folder / "model", loaded, task=task, method=method, card={"task": {}, "method": {}})
    return base, task, loaded.model.eval()


@pytest.mark.parametrize("name", ["deepseek_v2", "qwen3_next", "mixtral"])
def test_what_is_said_to_be_left_out_is_left_out(name, tmp_path):
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    base, task, model = tuned(name, tmp_path)
    lost = left_out(tmp_path / "model", base, task)
    ids = torch.tensor([[5, 9, 17, 30, 41]])
    with quiet(), torch.no_grad():
        theirs = transformers.AutoModelForCausalLM.from_pretrained(base)
        theirs = peft.PeftModel.from_pretrained(theirs, tmp_path / "model").eval()(ids).logits
        # Ours without the layers that are said to be left out answers as PEFT does.
        layers = dict(model.named_modules())
        assert all(hasattr(layers[layer], "lora_B") for layer in lost)
        for layer in lost:
            layers[layer].lora_B.zero_()
        assert torch.allclose(model(ids).logits, theirs, atol=1e-4)
    assert bool(lost) == (name != "mixtral")


def test_usual_models_need_no_peft_to_be_asked(tmp_path, monkeypatch):
    base, task, _ = tuned("llama", tmp_path)
    monkeypatch.setitem(sys.modules, "peft", None)  # an import of it would fail
    assert left_out(tmp_path / "model", base, task) == []


@pytest.mark.whole
def test_a_run_says_it(tmp_path):
    pytest.importorskip("peft")
    import weitiao as wt

    base = saved(built("deepseek_v2", "CausalLM"), tmp_path / "base")
    (tmp_path / "rows.txt").write_text("\n".join(f"abc def {i}" for i in range(40)))
    said = []
    wt.train(
        model=base,
        task="language_modeling",
        data={"train": str(tmp_path / "rows.txt")},
        output_dir=str(tmp_path / "run"),
        train={"max_steps": 1},
        evaluate={"untuned": False, "baseline": "none"},
        tell=lambda event, **facts: said.append(facts.get("text", "")),
    )
    assert any("leaves out" in text and "weitiao merge" in text for text in said)
