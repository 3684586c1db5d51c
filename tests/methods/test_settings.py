"""No setting of a method is ignored: each one, changed, changes what trains, where it starts, or how it goes.

A new setting needs a line in `CHANGED`; until it has one, a test here fails.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.methods.toys import Toy
from weitiao.core import registry

pytestmark = pytest.mark.whole  # a training for each setting

# Method -> setting -> (another value, other settings under which it matters).
CHANGED: dict[str, dict[str, tuple[Any, dict[str, Any]]]] = {
    "top_layers": {"n": (2, {}), "freeze": (["pooler"], {})},
    "gradual": {
        "unfreeze": ("plateau", {}),
        "until": (1.0, {}),
        "every": (2, {"unfreeze": "steps"}),
        "layerwise_lr_decay": (0.5, {}),
    },
    "bitfit": {"biases": ("query_mlp", {})},
    "lora": {
        "r": (8, {}),
        "lora_alpha": (8, {}),
        "lora_dropout": (0.5, {}),
        "target_modules": (["query"], {}),
        "rank_pattern": ({"query": 4}, {}),
        "use_rslora": (True, {}),
        "use_dora": (True, {}),
        "init_lora_weights": ("gaussian", {}),
        "loraplus_lr_ratio": (16, {}),
        "base_bits": (4, {}),
    },
    "adalora": {
        "init_r": (8, {"target_r": 4}),
        "target_r": (6, {}),
        "lora_alpha": (8, {}),
        "lora_dropout": (0.5, {}),
        "target_modules": (["query"], {}),
        "tinit": (3, {}),
        "tfinal": (0.5, {}),
        "deltaT": (3, {}),
        "beta1": (0.1, {}),
        "beta2": (0.1, {}),
        "orth_reg_weight": (0.0, {}),
    },
    "ia3": {
        "target_modules": (["query"], {}),
        "feedforward_modules": (["query"], {"target_modules": ["query"]}),
    },
    "prompt": {
        "num_virtual_tokens": (4, {}),
        "prompt_tuning_init": ("random", {}),
        "prompt_tuning_init_text": ("good film", {"prompt_tuning_init": "text"}),
    },
    "p_tuning": {
        "num_virtual_tokens": (4, {}),
        "encoder_reparameterization_type": ("MLP", {}),
        "encoder_hidden_size": (16, {}),
        "encoder_num_layers": (1, {}),
        "encoder_dropout": (0.5, {}),
    },
    "prefix": {"num_virtual_tokens": (4, {}), "encoder_hidden_size": (16, {})},
    "p_tuning_v2": {"num_virtual_tokens": (4, {})},
    "adapter": {
        "placement": ("houlsby", {}),
        "reduction_factor": (2, {}),
        "non_linearity": ("tanh", {}),
        "scaling": ("learned", {}),
        "adapter_dropout": (0.5, {}),
        "ln_before": (True, {}),
        "ln_after": (True, {}),
        "train_layer_norms": (True, {}),
    },
    "mam": {
        "num_virtual_tokens": (4, {}),
        "encoder_hidden_size": (16, {}),
        "reduction_factor": (2, {}),
        "non_linearity": ("tanh", {}),
        "scaling": (1.0, {}),
    },
    "unipelt": {
        "num_virtual_tokens": (4, {}),
        "encoder_hidden_size": (16, {}),
        "reduction_factor": (2, {}),
        "non_linearity": ("tanh", {}),
        "r": (4, {}),
    },
}
ROWS = [(name, key, *row) for name, keys in CHANGED.items() for key, row in keys.items()]
# What a setting is compared with, where its default would refuse the other settings of the row.
BEFORE = {("prompt", "prompt_tuning_init_text"): "bad plot"}


@pytest.fixture(scope="module")
def known() -> dict[str, tuple]:
    """What eight steps gave before; most settings of a method are compared with the same."""
    return {}


@pytest.mark.parametrize(("name", "key", "value", "also"), ROWS, ids=[f"{n}.{k}" for n, k, *_ in ROWS])
def test_the_setting_is_heeded(request, known, name, key, value, also):
    start = {key: BEFORE[name, key]} if (name, key) in BEFORE else {}
    same = repr((name, also, start))
    if same not in known:
        before = Toy(request, name, "bert", **also, **start)
        known[same] = before.count(), before.steps(8)
    after = Toy(request, name, "bert", **also, **{key: value})
    assert getattr(after.method, key) == value
    assert known[same] != (after.count(), after.steps(8))


def test_with_nothing_changed_nothing_differs(request):
    """What these tests rest on."""
    for name in CHANGED:
        one, other = Toy(request, name, "bert"), Toy(request, name, "bert")
        assert (one.count(), one.steps(3)) == (other.count(), other.steps(3))


def test_every_setting_is_in_the_table():
    for name in registry.names("method"):
        kind = registry.entry("method", name).kind
        fields = {field.name for field in dataclasses.fields(kind) if field.init}
        known = {
            key
            for other, keys in CHANGED.items()
            for key in keys
            if registry.entry("method", other).kind is kind
        }
        assert known == fields, name
