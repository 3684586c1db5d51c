"""Adapters, MAM and UniPELT against outputs and gradients that the `adapters` library gave once.

tests/methods/recorded/*.safetensors, written by benchmarks/adapters_reference.py in an environment of its own
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from weitiao.core import registry
from weitiao.models import anatomy

HERE = Path(__file__).parent / "recorded"
ADAPTER = {"reduction_factor": 4}
PREFIX = {"num_virtual_tokens": 3, "encoder_hidden_size": 8}
# Recording -> our settings for the same thing.
CASES = {
    "bert-seq_bn": {"name": "adapter", "placement": "pfeiffer", **ADAPTER},
    "bert-seq_bn-ln_before": {"name": "adapter", "placement": "pfeiffer", "ln_before": True, **ADAPTER},
    "bert-seq_bn-ln_after": {"name": "adapter", "placement": "pfeiffer", "ln_after": True, **ADAPTER},
    "bert-double_seq_bn": {"name": "adapter", "placement": "houlsby", "non_linearity": "swish", **ADAPTER},
    "bert-double_seq_bn-gelu": {
        "name": "adapter",
        "placement": "houlsby",
        "non_linearity": "gelu",
        **ADAPTER,
    },
    "bert-par_bn": {"name": "adapter", "placement": "parallel", "scaling": 4.0, **ADAPTER},
    "bert-par_bn-scaling_learned": {
        "name": "adapter",
        "placement": "parallel",
        "scaling": "learned",
        **ADAPTER,
    },
    "bert-mam": {"name": "mam", "scaling": 4.0, **PREFIX, **ADAPTER},
    "bert-unipelt": {"name": "unipelt", "r": 2, **PREFIX, **ADAPTER},
    "bert-unipelt-alpha8": {"name": "unipelt", "r": 2, **PREFIX, **ADAPTER},
    "llama-seq_bn": {"name": "adapter", "placement": "pfeiffer", **ADAPTER},
    "llama-double_seq_bn": {"name": "adapter", "placement": "houlsby", "non_linearity": "swish", **ADAPTER},
    "t5-seq_bn": {"name": "adapter", "placement": "pfeiffer", **ADAPTER},
}
# The library's name of a parameter -> ours; what the layers are called is the same.
NAMES = [
    (r"\.attention\.output\.adapters\.toy\.", ".attention.output.dense.adapter."),
    (r"(encoder\.layer\.\d+)\.output\.adapters\.toy\.", r"\1.output.PLACE.adapter."),
    (r"\.attention_adapters\.adapters\.toy\.", ".self_attn.o_proj.adapter."),
    (r"\.output_adapters\.adapters\.toy\.", ".PLACEadapter."),
    (r"(block\.\d+)\.layer\.\d+\.adapters\.toy\.", r"\1.adapter."),
    (r"prefix_tuning\.prefix_tunings\.toy\.self_prefix\.wte\.weight", "encoder.prefix.embedding"),
    (r"prefix_tuning\.prefix_tunings\.toy\.self_prefix\.control_trans\.", "encoder.prefix.transform."),
    (r"prefix_tuning\.prefix_gates\.toy\.", "prefix_gate.linear."),
    (r"\.loras\.toy\.gate\.", ".gate.linear."),
    (r"\.loras\.toy\.", "."),
    (r"\.gate\.(weight|bias)$", r".gate.linear.\1"),
    (r"adapter_norm_(before|after)", r"norm_\1"),
    (r"adapter_down\.\d\.", "down."),
    (r"adapter_up\.", "up."),
]
WHERE = {"bert-pfeiffer": "LayerNorm", "bert-houlsby": "dense", "bert-parallel": "dense"}


def ours(theirs: str, case: str, settings: dict) -> str:
    family = case.partition("-")[0]
    placement = settings.get("placement", {"mam": "parallel", "unipelt": "pfeiffer"}.get(settings["name"]))
    name = theirs
    for pattern, replacement in NAMES:
        name = re.sub(pattern, replacement, name)
    llama = "mlp.down_proj." if placement == "houlsby" else ""
    return name.replace("PLACE", WHERE.get(f"{family}-{placement}", llama))


def build(case: str):
    import transformers

    with safe_open(HERE / f"{case}.safetensors", "pt") as file:
        config = json.loads(file.metadata()["config"])
    model = getattr(transformers, config["class"].replace("Config", "Model"))(
        getattr(transformers, config["class"])(**config["settings"])
    )
    model.load_state_dict(
        {
            name.removeprefix("base/"): weight
            for name, weight in load_file(HERE / f"base-{case.partition('-')[0]}.safetensors").items()
            if name.startswith("base/")
        }
    )
    return model.eval()


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_the_librarys(case):
    recorded, settings = load_file(HERE / f"{case}.safetensors"), CASES[case]
    model = build(case)
    method = registry.build("method", settings)
    model = method.attach(model, frozenset(), lambda text: []).eval()
    weights = dict(model.named_parameters())
    for name, weight in weights.items():
        weight.requires_grad_(method.trains(name, weight, frozenset()))
    twin = {n.removeprefix("adapter/"): w for n, w in recorded.items() if n.startswith("adapter/")}
    named = {theirs: ours(theirs, case, settings) for theirs in twin}
    assert set(named.values()) == {n for n, w in weights.items() if w.requires_grad}
    with torch.no_grad():
        for theirs, name in named.items():
            weights[name].copy_(twin[theirs])
    words = {n.removeprefix("input/"): v for n, v in recorded.items() if n.startswith("input/")}
    mask = words.pop("attention_mask", None)
    out = model(**words).last_hidden_state
    torch.testing.assert_close(out, recorded["output/plain"], rtol=1e-5, atol=1e-5)
    out.square().sum().backward()
    for theirs, name in named.items():
        expected = recorded[f"grad/{theirs}"]
        limit = 1e-5 * max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(weights[name].grad, expected, rtol=1e-4, atol=limit)
    if "output/padded" in recorded:
        with torch.no_grad():
            padded = model(**words, attention_mask=mask).last_hidden_state
        real = mask.bool()
        torch.testing.assert_close(padded[real], recorded["output/padded"][real], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("recorded", "settings"),
    [
        ("seq_bn", {"name": "adapter", "placement": "pfeiffer", "reduction_factor": 16}),
        ("double_seq_bn", {"name": "adapter", "placement": "houlsby", "reduction_factor": 16}),
        ("par_bn", {"name": "adapter", "placement": "parallel", "reduction_factor": 2}),
        ("prefix_tuning", {"name": "prefix", "num_virtual_tokens": 30, "encoder_hidden_size": 512}),
        (
            "mam",
            {"name": "mam", "num_virtual_tokens": 30, "encoder_hidden_size": 800, "reduction_factor": 2},
        ),
        (
            "unipelt",
            {
                "name": "unipelt",
                "num_virtual_tokens": 10,
                "encoder_hidden_size": 512,
                "reduction_factor": 16,
                "r": 8,
            },
        ),
        ("lora", {"name": "lora", "r": 8, "target_modules": ["query", "value"]}),
        # The library rescales what comes out of the first feed-forward layer, ours what goes into the last: the same.
        ("ia3", {"name": "ia3"}),
    ],
)
def test_counts_on_bert_base_are_the_librarys(recorded, settings):
    from transformers import BertConfig, BertModel

    counts = json.loads((HERE / "counts.json").read_text())
    with torch.device("meta"):
        model = BertModel(BertConfig())
    method = registry.build("method", settings)
    model = method.attach(model, frozenset(), lambda text: [])
    for name, weight in model.named_parameters():
        weight.requires_grad_(method.trains(name, weight, frozenset()))
    found = {key: value for part in counts.values() if isinstance(part, dict) for key, value in part.items()}
    assert anatomy.parameter_counts(model)[0] == counts.get("bert-base", found)[recorded]


def test_padding_does_not_move_a_gate():
    """Where the library means its gates over padding too, ours leaves it out: a row is the same alone and in a batch."""
    model = build("bert-unipelt")
    method = registry.build("method", CASES["bert-unipelt"])
    torch.manual_seed(0)
    model = method.attach(model, frozenset(), lambda text: []).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if method.trains(name, weight, frozenset()):
                weight.normal_(std=0.3)
        ids = torch.randint(5, 40, (2, 9), generator=torch.Generator().manual_seed(0))
        mask = torch.ones_like(ids)
        mask[1, 4:] = 0
        alone = model(input_ids=ids[1:, :4]).last_hidden_state
        together = model(input_ids=ids, attention_mask=mask).last_hidden_state[1:, :4]
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
