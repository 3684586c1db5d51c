"""Fifteen families by one vocabulary: where their parts are, and that methods reach them."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch
import transformers as T

from tests.conftest import rarely
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.models import anatomy

SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SHORT = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "vocab_size": 64}
FAMILIES = {
    "bert": lambda: T.BertForSequenceClassification(T.BertConfig(**SMALL)),
    "roberta": lambda: T.RobertaForSequenceClassification(T.RobertaConfig(**SMALL)),
    "electra": lambda: T.ElectraForSequenceClassification(T.ElectraConfig(**SMALL)),
    "distilbert": lambda: T.DistilBertForSequenceClassification(
        T.DistilBertConfig(vocab_size=64, dim=32, n_layers=2, n_heads=4, hidden_dim=64)
    ),
    "albert": lambda: T.AlbertForSequenceClassification(T.AlbertConfig(**SMALL, embedding_size=16)),
    "deberta-v2": lambda: T.DebertaV2ForSequenceClassification(T.DebertaV2Config(**SMALL)),
    "llama": lambda: T.LlamaForCausalLM(T.LlamaConfig(**SMALL, num_key_value_heads=2)),
    "qwen2": lambda: T.Qwen2ForCausalLM(T.Qwen2Config(**SMALL, num_key_value_heads=2)),
    "qwen3": lambda: T.Qwen3ForCausalLM(T.Qwen3Config(**SMALL, num_key_value_heads=2, head_dim=8)),
    "mistral": lambda: T.MistralForCausalLM(T.MistralConfig(**SMALL, num_key_value_heads=2)),
    "gemma": lambda: T.GemmaForCausalLM(T.GemmaConfig(**SMALL, num_key_value_heads=1, head_dim=8)),
    "phi": lambda: T.PhiForCausalLM(T.PhiConfig(**SMALL)),
    "gpt2": lambda: T.GPT2LMHeadModel(T.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=64, **SHORT)),
    "gpt-neox": lambda: T.GPTNeoXForCausalLM(T.GPTNeoXConfig(**SMALL)),
    "opt": lambda: T.OPTForCausalLM(
        T.OPTConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            ffn_dim=64,
            word_embed_proj_dim=32,
            max_position_embeddings=64,
            **SHORT,
        )
    ),
    "bart": lambda: T.BartForConditionalGeneration(
        T.BartConfig(
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=64,
            decoder_start_token_id=2,
            **SHORT,
        )
    ),
}
METHODS = {
    "full": {},
    "top_layers": {"n": 1},
    "gradual": {},
    "bitfit": {},
    "lora": {"r": 2},
    "adalora": {"init_r": 2, "target_r": 1},
    "ia3": {},
    "prompt": {"num_virtual_tokens": 3},
    "prefix": {"num_virtual_tokens": 3, "encoder_hidden_size": 8},
    "adapter": {},
    "adapter-houlsby": {"placement": "houlsby"},
    "adapter-parallel": {"placement": "parallel"},
    "mam": {"num_virtual_tokens": 3, "encoder_hidden_size": 8},
    "unipelt": {"num_virtual_tokens": 3, "encoder_hidden_size": 8, "r": 2},
}
# What cannot be had, and why the error says so.
FUSED = "keys and values|queries and values"
REFUSED = {
    **{(family, "bitfit"): "no biases" for family in ("llama", "qwen3", "mistral", "gemma")},
    **{(family, method): FUSED for family in ("gpt2", "gpt-neox") for method in ("ia3", "unipelt")},
    **{("deberta-v2", method): "no keys from outside" for method in ("prefix", "mam", "unipelt")},
}


@cache
def _made(family: str):
    torch.manual_seed(0)
    return FAMILIES[family]().eval()


def build(family: str):
    """A copy of its own of the toy, which is made once."""
    found = copy.deepcopy(_made(family))
    torch.manual_seed(0)
    return found


def logits(model) -> torch.Tensor:
    ids = torch.randint(5, 60, (2, 7), generator=torch.Generator().manual_seed(0))
    words = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if model.config.is_encoder_decoder:
        words["decoder_input_ids"] = ids[:, :5]
    return model(**words).logits


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_attention_feed_forward_and_levels_are_found(family):
    model = build(family)
    blocks = anatomy.blocks(model)
    stacks = 2 if model.config.is_encoder_decoder else 1
    depth = 1 if family == "albert" else 2  # ALBERT's layers share one block
    assert len(blocks) == stacks * depth
    reads_left_to_right = "LM" in type(model).__name__
    expected = [False, False, True, True] if stacks == 2 else [reads_left_to_right] * depth
    assert [block.causal for block in blocks] == expected
    for block in blocks:
        first, last = block.feed_forward(model)
        assert all(
            model.get_submodule(name) is not None for name in [*first, last, *block.attention_outputs(model)]
        )
        assert len(block.attention_outputs(model)) == (2 if stacks == 2 and block.causal else 1)
        assert {(a.head_size, a.key_heads) for a in block.attentions} <= {(8, 4), (8, 2), (8, 1)}
        assert (block.last_norm(model) is not None) == (
            family in ("bert", "roberta", "electra", "distilbert", "deberta-v2")
        )
    levels = anatomy.levels(model, anatomy.head(model))
    assert set(levels) == {name for name, _ in model.named_parameters()}
    assert set(levels.values()) == set(range(0 if anatomy.head(model) else 1, stacks * depth + 2))


@pytest.mark.parametrize("method_name", METHODS)
@pytest.mark.parametrize(
    "family", [rarely(name) if place % 2 else name for place, name in enumerate(FAMILIES)]
)
def test_every_method_reaches_the_family_or_says_why_not(family, method_name):
    model = build(family)
    head = anatomy.head(model)
    method = registry.build("method", {"name": method_name.partition("-")[0], **METHODS[method_name]})
    base = copy.deepcopy(model)
    before = logits(model).detach()
    if (family, method_name) in REFUSED:
        with pytest.raises(WeitiaoError, match=REFUSED[family, method_name]):
            method.attach(model, head, lambda text: [])
        return
    model = method.attach(model, head, lambda text: []).eval()
    trained = {n: w for n, w in model.named_parameters() if method.trains(n, w, head)}
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in trained)
    if method.starts_as_base:
        torch.testing.assert_close(logits(model), before, rtol=0, atol=0)
    with torch.no_grad():
        for weight in trained.values():
            weight.add_(0.1 * torch.randn_like(weight))
    out = logits(model)
    assert out.isfinite().all()
    assert not torch.allclose(out, before, atol=1e-4)
    out.square().sum().backward()
    assert all(w.grad is not None for w in trained.values())
    if method.layout != "pretrained":
        method.switch(model, on=False)
        with torch.no_grad():
            for name in head:
                model.get_parameter(name).copy_(base.get_parameter(name))
        torch.testing.assert_close(logits(model), before, rtol=1e-6, atol=1e-6)
