"""What `all-linear` leaves out: side layers narrower than the rank, and layers that fused code passes by."""

from __future__ import annotations

import pytest
from torch import nn

from tests.methods.toys import Toy
from tests.models.families import built, saved
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.methods import targets
from weitiao.models import store
from weitiao.models.bypass import passed_by
from weitiao.models.load import load


def test_layers_whose_weights_go_to_fused_code_are_left_out_and_peft_opens_the_rest(tmp_path):
    peft = pytest.importorskip("peft")
    plain = built("mamba", "CausalLM")
    base = saved(plain, tmp_path / "base")
    task = registry.build("task", {"name": "language_modeling"})
    method = registry.build("method", {"name": "lora", "r": 2})
    loaded = load(base, task)
    (said,) = method.notices(loaded.model, loaded.head)
    assert "mixer.out_proj" in said
    store.prepare(loaded, method, seed=0)
    store.save_tuned(tmp_path / "tuned", loaded, task=task, method=method, card={})
    opened = peft.PeftModel.from_pretrained(plain, tmp_path / "tuned")
    assert {name.split(".")[-4] for name, _ in opened.named_parameters() if "lora_A" in name} == {"in_proj"}
    attention = nn.MultiheadAttention(4, 1)
    assert passed_by(nn.ModuleDict({"it": attention}), ["it.out_proj"]) == {"it.out_proj"}


def test_side_layers_narrower_than_the_rank_are_left_out_unless_they_are_named(request):
    toy = Toy(request, "full", "bert")
    dense = toy.model.bert.encoder.layer[0].attention.output
    dense.side = nn.Linear(4, 4)
    every = targets.chosen(toy.model, toy.loaded.head, "all-linear", rank=4)
    name = "bert.encoder.layer.0.attention.output.side"
    assert every.keys() - targets.chosen(toy.model, toy.loaded.head, "all-linear", rank=5).keys() == {name}
    (said,) = registry.build("method", {"name": "lora"}).notices(toy.model, toy.loaded.head)
    assert "output.side" in said
    assert not registry.build("method", {"name": "lora", "r": 4}).notices(toy.model, toy.loaded.head)
    named = registry.build("method", {"name": "lora", "r": 5, "target_modules": ["side"]})
    assert not named.notices(toy.model, toy.loaded.head)
    with pytest.raises(WeitiaoError, match=r"method.r: 5 does not fit(.|\n)*4 or less"):
        named.attach(toy.model, toy.loaded.head, lambda text: [])
