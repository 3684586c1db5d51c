"""Linear layers of every make by one vocabulary: `nn.Linear`, GPT-2's `Conv1D`, our 4-bit `PackedLinear`.

    sizes(layer) -> (in, out)     dense(layer) -> W (out, in)     plus(layer, x, low) -> W x + b + low, rounded once

In bfloat16 a small change added to an output that is rounded already is lost wherever it is below half a unit in
the last place.  `plus` hands the change to the product (`addmm`), which adds it before it rounds.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from weitiao.models.four_bit import PackedLinear, Unpacked, plain_linear
from weitiao.models.wrap import under

HALVED = "half_precision_copy"  # an attribute of a tensor


def is_linear(module: nn.Module) -> bool:
    """Is it a layer that these functions know?"""
    kind: Any = type(module)
    return isinstance(module, PackedLinear) or _transposed(module) or _is_plain(kind)


@cache
def _is_plain(kind: Any) -> bool:
    """Does a layer of that class compute W x + b?  Families make classes of their own of `nn.Linear`: Falcon's does, a
    router or one with 1-bit weights does something else.
    """
    if kind.forward is nn.Linear.forward or not issubclass(kind, nn.Linear):
        return issubclass(kind, nn.Linear)
    with torch.random.fork_rng(), torch.no_grad():
        try:
            layer, x = kind(3, 2, device="cpu"), torch.ones(1, 3)
            return bool(torch.allclose(layer(x), F.linear(x, layer.weight, layer.bias)))
        except Exception:  # a class that is made of something else, or gives something else
            return False


def sizes(layer: nn.Module) -> tuple[int, int]:
    """(in, out) features, or channels."""
    layer = under(layer)
    if isinstance(layer, nn.Linear | PackedLinear):
        return layer.in_features, layer.out_features
    if isinstance(layer, nn.Conv2d):
        return layer.in_channels, layer.out_channels
    weight: Any = layer.weight
    before, after = weight.shape
    return int(before), int(after)


def device(layer: nn.Module) -> torch.device:
    """Where its weight lies."""
    weight: Any = layer.weight
    return weight.device


def bias(layer: nn.Module) -> Tensor | None:
    """What it adds to its outputs (out), if anything."""
    added: Any = layer.bias
    return added


def dense(layer: nn.Module, dtype: torch.dtype | None = None) -> Tensor:
    """The weight as (out, in), a 4-bit one unpacked; a view where nothing has to be computed."""
    layer = under(layer)
    weight: Any = layer.dense() if isinstance(layer, PackedLinear) else layer.weight
    if _transposed(layer):
        weight = weight.t()
    return weight if dtype is None else weight.to(dtype)


def add_(layer: nn.Module, change: Tensor) -> nn.Module:
    """The layer with `change` (out, in) added to its weight; a 4-bit layer becomes an `nn.Linear`."""
    if isinstance(layer, PackedLinear):
        return plain_linear(layer, change)
    with torch.no_grad():
        weight = dense(layer)
        weight.add_(change.to(weight.dtype))
    return layer


def plus(layer: nn.Module, x: Tensor, low: Tensor) -> Tensor:
    """The layer's output plus `low`, in half precision added inside the product, before it is rounded.

    A bias comes on behind, with a rounding of its own: put in with `low` it would round a small change away.

    Args:
        layer: a layer that `is_linear`, its weight frozen.
        x: (..., in).
        low: what is added, (..., out).
    """
    half = low.dtype if low.dtype != torch.float32 else half_of(x)
    if half is None or not is_linear(layer):  # another change lies around the layer already
        return layer(x) + low
    x_NI, low_NO = x.reshape(-1, x.shape[-1]).to(half), low.reshape(-1, low.shape[-1]).to(half)
    if isinstance(layer, PackedLinear):
        y_NO = Unpacked.apply(x_NI, layer, low_NO)
    else:
        y_NO = torch.addmm(low_NO, x_NI, dense(layer, half).t())
    return _shaped(y_NO, layer, x)


def plus_low_rank(layer: nn.Module, x: Tensor, down_RI: Tensor, up_OR: Tensor) -> Tensor:
    """The layer's output plus x through two thin matrices, as `plus(layer, x, low_rank(x, ...))` computes it.

    In half precision, on a layer whose weight lies there whole, backward is written out: it keeps one half-precision
    copy of x, which all layers that read x share, where autograd keeps one for each product; and it adds both parts of
    x's gradient before they are rounded.
    """
    half = half_of(x)
    if (
        half is None
        or not is_linear(layer)
        or isinstance(layer, PackedLinear)
        or torch.compiler.is_compiling()
    ):
        return plus(layer, x, low_rank(x, down_RI, up_OR))
    given = x, _halved(x, half), dense(layer, half), down_RI, up_OR
    # Of a token at a time, calling the function takes as long as a thin product.
    y_NO = _PlusLowRank.apply(*given) if torch.is_grad_enabled() else _PlusLowRank.given(*given[1:])[0]
    return _shaped(y_NO, layer, x)


def _halved(x: Tensor, half: torch.dtype) -> Tensor:
    """x (..., in) as rows (N, in) in half precision, made once for however many layers read it."""
    made: tuple[int, Tensor] | None = getattr(x, HALVED, None)
    version = 0 if x.is_inference() else x._version  # has it been written to since?
    if made is None or made[0] != version or made[1].dtype != half:
        made = version, x.detach().reshape(-1, x.shape[-1]).to(half)
        setattr(x, HALVED, made)  # it goes when x goes
    return made[1]


class _PlusLowRank(torch.autograd.Function):
    """x W' + (x A') B', W frozen; the copy of x and W in half precision, all gradients in their owners'."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, x_NI: Tensor, weight_OI: Tensor, down_RI: Tensor, up_OR: Tensor
    ) -> Tensor:
        y_NO, *needed = _PlusLowRank.given(x_NI, weight_OI, down_RI, up_OR)
        ctx.save_for_backward(x_NI, weight_OI, *needed)
        ctx.dtypes, ctx.shape = (x.dtype, down_RI.dtype, up_OR.dtype), x.shape
        return y_NO

    @staticmethod
    def given(x_NI: Tensor, weight_OI: Tensor, down_RI: Tensor, up_OR: Tensor) -> tuple[Tensor, ...]:
        """The output, and of what it was made beside x and W."""
        down, up = down_RI.to(x_NI.dtype), up_OR.to(x_NI.dtype)
        thin_NR = x_NI @ down.t()
        return (thin_NR @ up.t()).addmm_(x_NI, weight_OI.t()), down, up, thin_NR

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, None, Tensor, Tensor]:
        x_NI, weight_OI, down, up, thin_NR = ctx.saved_tensors
        back_NO = gradients[0]
        thin_back_NR = back_NO @ up
        of_x, of_down, of_up = ctx.dtypes
        x_back = None
        if ctx.needs_input_grad[0]:
            x_back = (thin_back_NR @ down).addmm_(back_NO, weight_OI).view(ctx.shape).to(of_x)
        down_back, up_back = thin_back_NR.t() @ x_NI, back_NO.t() @ thin_NR
        return x_back, None, None, down_back.to(of_down), up_back.to(of_up)


def _shaped(y_NO: Tensor, layer: nn.Module, x: Tensor) -> Tensor:
    """A product with the layer's bias, in the shape of x."""
    added = bias(layer)
    if added is not None:
        y_NO = y_NO + added.to(y_NO.dtype)
    return y_NO.view(*x.shape[:-1], -1)


def low_rank(x: Tensor, down_RI: Tensor, up_OR: Tensor) -> Tensor:
    """x (..., in) through two thin matrices: (..., out)."""
    return F.linear(F.linear(x, down_RI), up_OR)


def _transposed(module: nn.Module) -> bool:
    return type(module).__name__ == "Conv1D" and type(module).__module__.startswith("transformers.")


def half_of(x: Tensor) -> torch.dtype | None:
    """The half precision that products take here, if they do."""
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return x.dtype if x.dtype in (torch.bfloat16, torch.float16) else None
