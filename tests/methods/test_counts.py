"""The reported number of trained parameters is the closed formula of the paper, for every method and setting.

The toys: hidden D = 32, feed-forward F = 64, L = 2 layers (T5: 2 + 2), 4 heads of 8; the Llama has 2 key-value heads.
"""

from __future__ import annotations

import pytest
import torch

from tests.methods.toys import Toy
from weitiao.core import registry
from weitiao.models import anatomy

D, F, L, K = 32, 64, 2, 16
HEAD = D * 2 + 2
POOLER = D * D + D
V, POSITIONS = 64, 64
NORM = 2 * D
BERT_BLOCK = 4 * (D * D + D) + (D * F + F) + (F * D + D) + 2 * NORM
BERT = V * D + POSITIONS * D + 2 * D + NORM + L * BERT_BLOCK + POOLER
LLAMA_BLOCK = 2 * D * D + 2 * D * K + 3 * D * F + 2 * D
VIT_HEAD = HEAD


def bert_lora(r: int) -> int:
    """r (in + out) for query, key, value, output, the two of the feed-forward, and the pooler."""
    return r * (L * (4 * 2 * D + 2 * (D + F)) + 2 * D)


def adapter(inner: int) -> int:
    """Houlsby et al., section 2.1: 2 m d + d + m."""
    return 2 * inner * D + D + inner


def mlp(count: int, hidden: int, out: int) -> int:
    """A table of `count` vectors, and two layers behind it."""
    return count * D + (D * hidden + hidden) + (hidden * out + out)


FORMULAS = [
    ("full", "bert", {}, BERT + HEAD),
    ("full", "llama", {}, V * D + L * LLAMA_BLOCK + D),
    ("head", "bert", {}, HEAD),
    ("head", "vit", {}, VIT_HEAD),
    # What stands behind the blocks (the pooler) counts with the top one.
    ("top_layers", "bert", {"n": 1}, BERT_BLOCK + POOLER + HEAD),
    ("top_layers", "bert", {"n": 2}, 2 * BERT_BLOCK + POOLER + HEAD),
    ("top_layers", "bert", {"n": "all"}, BERT + HEAD),
    ("top_layers", "bert", {"n": "all", "freeze": ["embeddings"]}, 2 * BERT_BLOCK + POOLER + HEAD),
    ("top_layers", "bert", {"n": 1, "freeze": ["pooler", "bias$"]}, BERT_BLOCK - (7 * D + F) + 2 * D),
    ("top_layers", "llama", {"n": 1}, LLAMA_BLOCK + D),
    ("gradual", "bert", {}, BERT + HEAD),
    # Biases of 4 + 2 linear layers and 2 norms a block, of the embeddings' norm and of the pooler.
    ("bitfit", "bert", {}, L * (4 * D + F + D + 2 * D) + D + D + HEAD),
    ("bitfit", "bert", {"biases": "query_mlp"}, L * (D + F) + HEAD),
    ("lora", "bert", {"r": 4}, bert_lora(4) + HEAD),
    ("lora", "bert", {"r": 2, "target_modules": ["query", "value"]}, 2 * 2 * L * 2 * D + HEAD),
    ("lora", "bert", {"r": 4, "rank_pattern": {"layer.1.*": 2, "query": 1}}, bert_lora(4) - 3 * 2 * D - 2 * (4 * 2 * D + 2 * (D + F)) + HEAD),
    ("lora", "bert", {"r": 4, "use_rslora": True}, bert_lora(4) + HEAD),
    ("lora", "bert", {"r": 4, "init_lora_weights": "pissa"}, bert_lora(4) + HEAD),
    ("lora", "bert", {"r": 4, "init_lora_weights": "eva"}, bert_lora(4) + HEAD),
    # DoRA: one length for each output besides.
    ("lora", "bert", {"r": 4, "use_dora": True}, bert_lora(4) + L * (4 * D + F + D) + D + HEAD),
    # query and output (D, D), key and value (D, K), gate, up and down (D, F).
    ("lora", "llama", {"r": 4}, 4 * L * (2 * 2 * D + 2 * (D + K) + 3 * (D + F))),
    ("qlora", "llama", {"r": 4}, 4 * L * (2 * 2 * D + 2 * (D + K) + 3 * (D + F))),
    ("qlora", "bert", {"r": 4}, bert_lora(4) + HEAD),
    # r (in + out + 1): the third part is the singular values.
    ("adalora", "bert", {"init_r": 4, "target_r": 2}, bert_lora(4) + 4 * (6 * L + 1) + HEAD),
    ("ia3", "bert", {}, L * (D + D + F) + HEAD),
    ("ia3", "llama", {}, L * (K + K + F)),
    # Encoder: key, value, inner; decoder: the same and key and value of its look at the encoder.
    ("ia3", "t5", {}, L * (2 * D + F) + L * (4 * D + F)),
    ("ia3", "bert", {"target_modules": ["query"], "feedforward_modules": []}, L * D + HEAD),
    ("prompt", "bert", {"num_virtual_tokens": 5}, 5 * D + HEAD),
    ("prompt", "t5", {"num_virtual_tokens": 5}, 5 * D),
    # Table, three layers.
    (
        "p_tuning",
        "bert",
        {"num_virtual_tokens": 5, "encoder_reparameterization_type": "MLP", "encoder_hidden_size": 8},
        5 * D + (D * 8 + 8) + (8 * 8 + 8) + (8 * D + D) + HEAD,
    ),
    # Table; two layers of an LSTM in both directions, 4 h (in + h + 2) each; two layers behind it.
    (
        "p_tuning",
        "llama",
        {"num_virtual_tokens": 5, "encoder_hidden_size": 8},
        5 * D + 2 * 4 * 8 * (D + 8 + 2) + 2 * 4 * 8 * (16 + 8 + 2) + (16 * 16 + 16) + (16 * D + D),
    ),
    (
        "p_tuning",
        "llama",
        {"num_virtual_tokens": 5, "encoder_hidden_size": 8, "encoder_num_layers": 1},
        5 * D + 2 * 4 * 8 * (D + 8 + 2) + (16 * 16 + 16) + (16 * D + D),
    ),
    ("prefix", "bert", {"num_virtual_tokens": 5, "encoder_hidden_size": 8}, mlp(5, 8, 2 * L * D) + HEAD),
    # Keys and values are K wide under grouped-query attention.
    ("prefix", "llama", {"num_virtual_tokens": 5, "encoder_hidden_size": 8}, mlp(5, 8, 2 * L * K)),
    # Encoder, decoder, and the decoder's look at the encoder.
    ("prefix", "t5", {"num_virtual_tokens": 5, "encoder_hidden_size": 8}, 3 * mlp(5, 8, 2 * L * D)),
    ("p_tuning_v2", "bert", {"num_virtual_tokens": 5}, 5 * 2 * L * D + HEAD),
    ("p_tuning_v2", "vit", {"num_virtual_tokens": 5}, 5 * 2 * L * D + VIT_HEAD),
    ("adapter", "bert", {"reduction_factor": 4}, L * adapter(8) + HEAD),
    ("adapter", "bert", {"reduction_factor": 4, "placement": "houlsby"}, 2 * L * adapter(8) + HEAD),
    ("adapter", "bert", {"reduction_factor": 4, "placement": "parallel"}, L * adapter(8) + HEAD),
    ("adapter", "bert", {"reduction_factor": 4, "ln_before": True}, L * (adapter(8) + NORM) + HEAD),
    ("adapter", "bert", {"reduction_factor": 4, "ln_after": True}, L * (adapter(8) + NORM) + HEAD),
    ("adapter", "bert", {"reduction_factor": 4, "scaling": "learned"}, L * (adapter(8) + 1) + HEAD),
    # The model's own norms: two a block and that of the embeddings.
    (
        "adapter",
        "bert",
        {"reduction_factor": 4, "train_layer_norms": True},
        L * (adapter(8) + 2 * NORM) + NORM + HEAD,
    ),
    # Encoder blocks have two sublayers, decoder blocks three.
    ("adapter", "t5", {"reduction_factor": 4, "placement": "houlsby"}, (2 * L + 3 * L) * adapter(8)),
    (
        "mam",
        "bert",
        {"num_virtual_tokens": 5, "encoder_hidden_size": 8, "reduction_factor": 4},
        mlp(5, 8, 2 * L * D) + L * adapter(8) + HEAD,
    ),
    # LoRA on query and value, an adapter, a prefix, and four gates of D + 1 in each block.
    (
        "unipelt",
        "bert",
        {"num_virtual_tokens": 5, "encoder_hidden_size": 8, "reduction_factor": 4, "r": 2},
        mlp(5, 8, 2 * L * D) + L * adapter(8) + L * 2 * 2 * 2 * D + L * 4 * (D + 1) + HEAD,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "family", "settings", "formula"), FORMULAS, ids=[f"{n}-{f}-{s}" for n, f, s, _ in FORMULAS]
)
def test_the_reported_count_is_the_closed_formula(request, name, family, settings, formula):
    assert Toy(request, name, family, **settings).count() == formula


def test_every_method_has_a_formula():
    assert {name for name, *_ in FORMULAS} == set(registry.names("method"))


def share(name: str, kind: str, config, **settings) -> float:
    """Trained without the head, over all, in per cent; no weight is made."""
    import transformers

    with torch.device("meta"):
        model = getattr(transformers, kind)(config)
    method = registry.build("method", {"name": name, **settings})
    model = method.attach(model, frozenset(), lambda text: [])
    for weight_name, weight in model.named_parameters():
        weight.requires_grad_(method.trains(weight_name, weight, frozenset()))
    trained, total = anatomy.parameter_counts(model)
    return 100 * trained / total


def test_shares_are_those_of_the_papers():
    from transformers import BertConfig, LlamaConfig, T5Config

    base = BertConfig()
    large = BertConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
    # BitFit, table 1 and section 4: 0.09 % of BERT-base and 0.08 % of BERT-large; half as many for the two kinds.
    assert share("bitfit", "BertModel", base) == pytest.approx(0.09, abs=0.006)
    assert share("bitfit", "BertModel", large) == pytest.approx(0.08, abs=0.006)
    assert share("bitfit", "BertModel", base, biases="query_mlp") == pytest.approx(0.04, abs=0.006)
    # Houlsby et al., table 1: adapters of 8 to 256 units, 64 units add about 2 % to BERT-base a sublayer pair.
    houlsby = share("adapter", "BertModel", base, placement="houlsby", reduction_factor=768 / 64)
    assert houlsby == pytest.approx(100 * 24 * (2 * 64 * 768 + 768 + 64) / 109_482_240, rel=0.03)
    # LoRA, table 4 (GPT-3 175B): r = 1 on query and value of 96 layers of width 12,288 are 4.7 M.
    gpt3 = LlamaConfig(
        hidden_size=12288,
        num_hidden_layers=96,
        num_attention_heads=96,
        intermediate_size=49152,
        vocab_size=50257,
    )
    import transformers

    with torch.device("meta"):
        model = transformers.LlamaModel(gpt3)
    lora = registry.build("method", {"name": "lora", "r": 1, "target_modules": ["q_proj", "v_proj"]})
    model = lora.attach(model, frozenset(), lambda text: [])
    assert sum(w.numel() for n, w in model.named_parameters() if "lora_" in n) == pytest.approx(
        4.7e6, rel=0.01
    )
    # Lester et al., table 4: a prompt of 5 vectors is 20,480 numbers at width 4,096 (T5-XXL).
    with torch.device("meta"):
        t5 = transformers.T5ForConditionalGeneration(
            T5Config(d_model=4096, num_layers=1, d_ff=64, num_heads=64)
        )
    prompt = registry.build("method", {"name": "prompt", "num_virtual_tokens": 5})
    t5 = prompt.attach(t5, frozenset(), lambda text: [])
    assert sum(w.numel() for n, w in t5.named_parameters() if "prompt" in n) == 20_480
