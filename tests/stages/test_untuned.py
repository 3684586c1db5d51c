"""The model before tuning, where a method has put modules into it: the tuned one turned off, and no second one."""

from __future__ import annotations

import pytest

import weitiao as wt
from tests.conftest import dialogues, reviews, write_csv, write_jsonl
from weitiao.core import registry
from weitiao.models import four_bit
from weitiao.models.load import load

METHODS = {
    "lora": "lora",
    "norms too": {"name": "adapter", "train_layer_norms": True},
    "positions": {"name": "prompt", "num_virtual_tokens": 3},
    "qlora": "qlora",
    "full": "full",
}


@pytest.mark.whole
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_it_is_the_base_with_the_head_that_was_drawn(method, bert, tmp_path, monkeypatch):
    import transformers

    auto, opened = transformers.AutoModelForSequenceClassification, []
    original = auto.from_pretrained
    run = wt.train(
        model=bert,
        task="text_classification",
        method=method,
        data={"train": str(write_csv(tmp_path / "rows.csv", reviews(60)))},
        train={"max_steps": 6, "bf16": False, "learning_rate": 0.05},
        evaluate={"resamples": 100, "baseline": "none"},
        seed=3,
        output_dir=str(tmp_path / "run"),
    )
    texts = [row["text"] for row in reviews(8, seed=9)]
    monkeypatch.setattr(
        auto, "from_pretrained", lambda *words, **more: opened.append(1) or original(*words, **more)
    )
    again = wt.load(run.path)
    tuned = again.predict(texts)
    with again.untuned() as before:
        found = [row["scores"] for row in before.predict(texts)]
    assert again.predict(texts) == tuned, "and it is the tuned one afterwards"
    assert len(opened) == (2 if method == "full" else 1)
    fresh = wt.load(run.path)
    fresh.device = "cpu"
    fresh.__dict__["tuned"] = load(bert, run.task, seed=3, bits=run.method.base_bits)
    for ours, theirs in zip(found, fresh.predict(texts), strict=True):
        assert ours == pytest.approx(theirs["scores"], rel=1e-6)
        assert ours != pytest.approx(tuned[0]["scores"], rel=1e-3)


@pytest.mark.whole
def test_qlora_is_compared_with_its_own_base(llama, tmp_path):
    run = wt.train(
        model=llama,
        task="sft",
        method="qlora",
        data={"train": str(write_jsonl(tmp_path / "rows.jsonl", dialogues(30)))},
        train={"max_steps": 1, "bf16": False},
        evaluate={"resamples": 100, "samples": 1, "max_new_tokens": 2},
        output_dir=str(tmp_path / "run"),
    )
    loss = run.results["metrics"]["untuned"]["loss"]["value"]

    def base(bits: int) -> float:
        other = wt.load(run.path)
        other.device = "cpu"
        loaded = load(llama, registry.build("task", {"name": "sft"}), bits=bits)
        assert any(isinstance(module, four_bit.PackedLinear) for module in loaded.model.modules()) == (
            bits == 4
        )
        other.__dict__["tuned"] = loaded
        return wt.evaluate(other).results["metrics"]["tuned"]["loss"]["value"]

    settings = run.recipe.model_copy(
        update={"evaluate": run.recipe.evaluate.model_copy(update={"untuned": False})}
    )
    (run.path / "recipe.yaml").write_text(settings.to_yaml())
    assert loss == pytest.approx(base(4), rel=1e-6)
    assert loss != pytest.approx(base(16), rel=1e-6)
