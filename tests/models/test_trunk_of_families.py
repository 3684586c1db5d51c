"""The trunk of many families: found by what trains, and blocks above it learn as if it were there."""

from __future__ import annotations

import pytest
import torch
import transformers as T

from tests.models.test_anatomy import FAMILIES, SMALL
from weitiao.models import anatomy, trunk

RELATIVE = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "max_relative_positions": 8}
MORE = {
    "deberta-v2-relative": lambda: T.DebertaV2ForSequenceClassification(
        T.DebertaV2Config(**SMALL, **RELATIVE)
    ),
    "gemma2": lambda: T.Gemma2ForCausalLM(
        T.Gemma2Config(**SMALL, num_key_value_heads=1, head_dim=8, sliding_window=4)
    ),
    "mpnet": lambda: T.MPNetForSequenceClassification(T.MPNetConfig(**SMALL)),
    "bloom": lambda: T.BloomForCausalLM(T.BloomConfig(vocab_size=64, hidden_size=32, n_layer=2, n_head=4)),
}
# Encoder-decoders are left out by `train.trunk.why_not`.
DECODERS = {name: make for name, make in {**FAMILIES, **MORE}.items() if name != "bart"}
SHARED = {"albert": "once each"}
"""Families whose blocks are no chain -> why there is no trunk."""


def made(family: str):
    torch.manual_seed(0)
    model = DECODERS[family]()
    return model.eval()


def rows(model):
    """Two padded rows of 9 and 4 tokens, and a loss of them."""
    ids_BT = torch.arange(3, 21).view(2, 9)
    real_BT = torch.ones(2, 9, dtype=torch.bool)
    real_BT[1, 4:] = False
    ids_BT = ids_BT.masked_fill(~real_BT, 0)

    def loss():
        logits = model(input_ids=ids_BT, attention_mask=real_BT.long()).logits
        return (logits if logits.ndim == 2 else logits[real_BT]).log_softmax(-1)[:, 1].sum()

    return real_BT, loss


def freeze_below(model, blocks: int) -> None:
    """The upper blocks and the head train."""
    names = [block.name for block in anatomy.blocks(model)]
    heads = anatomy.head(model)
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in heads or any(name.startswith(f"{up}.") for up in names[blocks:]))


@pytest.mark.parametrize("family", [family for family in DECODERS if family not in SHARED])
@pytest.mark.parametrize("blocks", [1, 2])
def test_what_lies_above_learns_as_if_the_trunk_were_there(family, blocks):
    model = made(family)
    real_BT, loss = rows(model)
    freeze_below(model, blocks)
    if not any(
        weight.requires_grad for weight in model.parameters()
    ):  # a language model's head is no new one
        model.get_output_embeddings().weight = torch.nn.Parameter(
            model.get_output_embeddings().weight.detach().clone()
        )
    found = trunk.find(model, lambda: [loss().item()], real_BT)
    assert (found.blocks, found.of) == (blocks, 2)
    states_BTD = found.reach(loss)
    assert not states_BTD.requires_grad
    states_BTD = states_BTD * real_BT[..., None]
    whole = loss()
    whole.backward()
    expected = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    assert expected
    model.zero_grad(set_to_none=True)
    with found.standing_in(states_BTD):
        again = loss()
    again.backward()
    torch.testing.assert_close(again, whole)
    for name, weight in model.named_parameters():
        assert (weight.grad is None) == (name not in expected), name
        if name in expected:
            torch.testing.assert_close(weight.grad, expected[name], rtol=1e-4, atol=1e-6)


def test_the_trunk_is_not_computed_when_it_is_replaced():
    model = made("bert")
    real_BT, loss = rows(model)
    freeze_below(model, 1)
    found = trunk.find(model, lambda: [loss().item()], real_BT)
    states_BTD = found.reach(loss)
    called = []
    for name in ("bert.embeddings", "bert.encoder.layer.0", "bert.encoder.layer.1"):
        model.get_submodule(name).register_forward_hook(lambda *_, name=name: called.append(name))
    with found.standing_in(states_BTD):
        loss()
    assert called == ["bert.encoder.layer.1"]
    called.clear()
    found.reach(loss)
    assert called == ["bert.embeddings", "bert.encoder.layer.0"]


@pytest.mark.parametrize("family", SHARED)
def test_blocks_that_are_no_chain_have_no_trunk(family):
    model = made(family)
    real_BT, loss = rows(model)
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in anatomy.head(model))
    with pytest.raises(trunk.NoTrunk, match=SHARED[family]):
        trunk.find(model, lambda: [loss().item()], real_BT)


def test_what_every_block_hears_of_belongs_to_all_of_them():
    """DeBERTa's relative positions stand behind the blocks in the model's order, and go into each."""
    model = made("deberta-v2-relative")
    real_BT, loss = rows(model)
    freeze_below(model, 1)
    model.deberta.encoder.rel_embeddings.weight.requires_grad_(True)
    with pytest.raises(trunk.NoTrunk, match="lowest block"):
        trunk.find(model, lambda: [loss().item()], real_BT)


def test_a_block_that_hears_more_than_hidden_states_is_noticed():
    """Planted: the lowest block writes down what the upper one adds to its output."""
    model = made("llama")
    real_BT, loss = rows(model)
    freeze_below(model, 1)
    low, high = model.model.layers
    heard = [0.0]
    low.register_forward_hook(lambda *_: heard.append(heard[-1] + 1))
    high.register_forward_hook(lambda _m, _a, output: output + heard.pop())
    with pytest.raises(trunk.NoTrunk, match="hear more"):
        trunk.find(model, lambda: [loss().item()], real_BT)
