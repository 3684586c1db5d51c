"""Linear layers in 4 bits, for QLoRA (Dettmers et al. 2023, arXiv 2305.14314).

from_pretrained(quantization_config=packing(...))  ->  take_over(model)  ->  every packed layer is a `PackedLinear`

The numbers are bitsandbytes' (NF4, doubly quantised); the layer is ours, because theirs packs its weight anew for some
processors on the first call outside of training, which cannot be undone and computes in bfloat16.
"""

from __future__ import annotations

import warnings
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from weitiao.core.errors import need
from weitiao.models.quiet import hushed
from weitiao.models.wrap import put, unwrap


class PackedLinear(nn.Module):
    """A frozen linear layer whose weight lies in 4 bits and is unpacked in every call, forward and backward."""

    packed: Tensor

    def __init__(self, packed: Tensor, state: Any, bias: nn.Parameter | None):
        super().__init__()
        self.register_buffer("packed", packed)
        self.out_features, self.in_features = state.shape
        # bitsandbytes 0.50 unpacks wrongly on CPU when a row is no multiple of a block (64), and rightly when told
        # that everything is one row.
        self.state = copy(state)
        self.state.shape = torch.Size([self.out_features * self.in_features])
        self.bias = bias

    @property
    def weight(self) -> Tensor:
        """The packed numbers; `dense` for the weight itself."""
        return self.packed

    def dense(self) -> Tensor:
        """The weight, (out, in)."""
        from bitsandbytes.functional import dequantize_4bit

        return dequantize_4bit(self.packed, self.state).reshape(self.out_features, self.in_features)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out), in the precision that products take here."""
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        y = Unpacked.apply(x.to(dtype), self)
        return y if self.bias is None else y + self.bias.to(dtype)


class Unpacked(torch.autograd.Function):
    """x W' with a weight that is unpacked again in backward, not kept until then; optionally added to something."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: PackedLinear, low: Tensor | None = None) -> Tensor:
        """(..., in) -> (..., out)."""
        ctx.layer, ctx.adds = layer, low is not None
        weight = layer.dense().to(x.dtype)
        return F.linear(x, weight) if low is None else torch.addmm(low, x, weight.t())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor | None]:
        """The weight gets none."""
        (gradient,) = gradients
        back = gradient @ ctx.layer.dense().to(gradient.dtype)
        return back, None, gradient if ctx.adds else None


def ready() -> None:
    """Import bitsandbytes, without what it says of kernels that it would rather have.

    Raises:
        WeitiaoError: `missing_extra`.
    """
    with hushed("bitsandbytes"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        need("bitsandbytes", extra="quant")


def packing(device: Any, *, skip: list[str]) -> dict[str, Any]:
    """Keywords of `from_pretrained` that pack linear layers while they are read.

    Args:
        device: where the model is to lie.
        skip: names of modules that stay as they are (heads, output layers).

    Raises:
        WeitiaoError: `missing_extra` without bitsandbytes.
    """
    ready()
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        llm_int8_skip_modules=skip,
    )
    return {"quantization_config": config, "device_map": {"": device}}


def take_over(model: nn.Module) -> nn.Module:
    """Put a `PackedLinear` where bitsandbytes' layers stand; no number is changed."""
    for name, module in list(model.named_modules()):
        if type(module).__name__ == "Linear4bit":
            weight: Any = module.weight
            put(model, name, PackedLinear(weight.data, weight.quant_state, module.bias))
    forget_quantizer(model)
    return model


def forget_quantizer(model: nn.Module) -> None:
    """Transformers would refuse to move or save the model, or take it for one that its own quantiser minds."""
    for word in ("hf_quantizer", "is_quantized", "quantization_method", "is_loaded_in_4bit"):
        if hasattr(model, word):
            delattr(model, word)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    for module in model.modules():
        vars(getattr(module, "config", module)).pop("_is_quantized", None)


def unpack(model: nn.Module) -> nn.Module:
    """Put plain linear layers where packed ones stand."""
    return unwrap(model, PackedLinear, plain_linear)


def plain_linear(layer: PackedLinear, change: Tensor | None = None) -> nn.Linear:
    """The layer in float32, with a change (out, in) added."""
    with torch.no_grad():
        dense = layer.dense().float()
        made = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None, device=dense.device)
        made.weight.copy_(dense if change is None else dense + change)
        if layer.bias is not None:
            made.bias.copy_(layer.bias)
    return made.requires_grad_(False)
