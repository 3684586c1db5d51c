"""Models whose tensors have shapes and no numbers: what can be learnt of a model before any weight is loaded.

materialise(skeleton, Shapes(), device)     fake tensors in place of those on the `meta` device
with mode: model(...)                       goes through every operation, computes none
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_iter

MASKED = (torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_)
"""Operations that take a mask for the places where it is true."""


class Shapes(FakeTensorMode):
    """Only shapes are computed; but the whole numbers of a batch stay numbers, for models ask where its rows end."""

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)  # batches are real

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What an operation gives: a shape, or numbers made of a batch's numbers and of counting alone."""
        kwargs = kwargs or {}
        if func.overloadpacket in MASKED and len(args) > 1:
            args = (args[0], _numbered(args[1]), *args[2:])
        dtype = kwargs.get("dtype")
        tensors = [each for each in tree_iter((args, kwargs)) if isinstance(each, Tensor)]
        shapes = any(isinstance(each, FakeTensor) or each.is_floating_point() for each in tensors)
        counts = bool(tensors) or func.overloadpacket is torch.ops.aten.arange
        if counts and not shapes and not (dtype and dtype.is_floating_point):
            return func(*args, **kwargs)
        if func.overloadpacket is torch.ops.aten._grouped_mm:
            with self:
                return _grouped(*args, **kwargs)
        return super().__torch_dispatch__(func, types, args, kwargs)


def _numbered(places: Any) -> list[Any]:
    """Masks that have numbers (which rows are of that language, where a row ends) as the places where they are true: how
    many there are is then known."""
    found: list[Any] = []
    for place in places:
        known = isinstance(place, Tensor) and place.dtype == torch.bool and not isinstance(place, FakeTensor)
        found += place.nonzero(as_tuple=True) if known else [place]
    return found


def _grouped(x: Tensor, weight: Tensor, offs: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
    """Products of the rows of each expert: torch's own rule for their shape knows bfloat16 alone."""
    flat = x.dim() == 2, weight.dim() == 2
    if flat == (True, True):
        return x.new_empty(len(cast(Tensor, offs)), len(x), weight.shape[1])  # torch asks for it there
    rows = x.shape[:-1] if flat != (False, True) else x.shape[1:-1]
    return x.new_empty(*rows, weight.shape[-1])


def materialise(model: nn.Module, mode: FakeTensorMode, device: str) -> None:
    """Fake tensors in place of those on the `meta` device; a shared weight stays shared."""
    made: dict[int, Any] = {}

    def fake(tensor: Tensor) -> Tensor:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device=device)

    with mode:
        for module in model.modules():
            for name, weight in module._parameters.items():
                if weight is not None:
                    if id(weight) not in made:
                        # The old one is kept, so that no other can have its id.
                        made[id(weight)] = weight, nn.Parameter(fake(weight), weight.requires_grad)
                    module._parameters[name] = made[id(weight)][1]
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = fake(buffer)
