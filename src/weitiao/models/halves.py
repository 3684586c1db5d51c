"""Frozen linear layers that are read in half precision straight away: the whole base never lies in float32.

    asked = frozen(skeleton, "bfloat16")                           which layers, found on the model without weights
    from_pretrained(**reading(asked), dtype=float32)  ->  packed.forget_quantizer(model)

The numbers are those of `anatomy.cast_frozen`, bit for bit: every weight is rounded once, from what its file holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

from weitiao.models import linear
from weitiao.models.precision import Half
from weitiao.models.wrap import base_modules, plain

NAME = "weitiao_halves"  # among Transformers' quantisers


@dataclass(frozen=True)
class Halves:
    """Which linear layers are read in half precision."""

    half: Half
    names: frozenset[str]


def frozen(model: Any, head: frozenset[str], half: Half) -> Halves:
    """Every linear layer of which nothing trains.

    Args:
        model: without weights, with a method's modules in it and told what trains.
        head: names of parameters that are new; they are drawn in float32, and so may be a pooler's.
        half: what the layers are read in.
    """
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    names = {
        plain(name)
        for name, module in base_modules(model)
        if linear.is_linear(module)
        and not any(weight.requires_grad for weight in module.parameters())
        # An output layer that is the embeddings is copied later: those are not rounded.
        and id(module.weight) not in embeddings
        and "pooler" not in name
    }
    return Halves(half, frozenset(names - {name.rpartition(".")[0] for name in head}))


@cache
def _config_class() -> Any:
    """Made known to Transformers, which asks a quantiser about its model before weights are read."""
    from transformers.quantizers import HfQuantizer, register_quantization_config, register_quantizer
    from transformers.utils.quantization_config import QuantizationConfigMixin

    @register_quantization_config(NAME)
    class HalvesConfig(QuantizationConfigMixin):
        def __init__(self, halves: Halves):
            self.quant_method: Any = NAME
            self.halves = halves

    @register_quantizer(NAME)
    class HalvesQuantizer(HfQuantizer):
        is_trainable = True

        def _process_model_before_weight_loading(self, model: Any, **_: Any) -> Any:
            halves: Halves = vars(self.quantization_config)["halves"]
            for name, module in model.named_modules():
                if name in halves.names:
                    module.to(getattr(torch, halves.half))  # its weights are read as what they are
            return model

        def is_serializable(self) -> bool:
            return False

    return HalvesConfig


def reading(halves: Halves) -> dict[str, Any]:
    """Keywords of `from_pretrained`."""
    return {"quantization_config": _config_class()(halves)}
