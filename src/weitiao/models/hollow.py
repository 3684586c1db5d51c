"""A model of shapes alone: every weight has its size, type and device, and takes no memory.

    hollow = fill(skeleton, task, method, half="bfloat16")
    with hollow.mode:  task.loss(hollow.loaded.model, batch)      goes through every operation, computes none

The model is put together as a run puts it together (skeleton, the method's modules, half-precision or 4-bit base), and
its weights are torch's fake tensors, so what a step would hold can be counted for models that no machine here could
load.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_iter

from weitiao.core.contracts import Method, Task
from weitiao.models import anatomy, heads, packed, store
from weitiao.models.load import Loaded
from weitiao.models.precision import Half, autocast
from weitiao.models.wrap import put


class Shapes(FakeTensorMode):
    """Only shapes are computed; but the whole numbers of a batch stay numbers, for models ask where its rows end."""

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)  # batches are real

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What an operation gives: a shape, or numbers made of a batch's numbers and of counting alone."""
        kwargs = kwargs or {}
        dtype = kwargs.get("dtype")
        tensors = [each for each in tree_iter((args, kwargs)) if isinstance(each, Tensor)]
        shapes = any(isinstance(each, FakeTensor) or each.is_floating_point() for each in tensors)
        counts = bool(tensors) or func.overloadpacket is torch.ops.aten.arange
        if counts and not shapes and not (dtype and dtype.is_floating_point):
            return func(*args, **kwargs)
        return super().__torch_dispatch__(func, types, args, kwargs)


@dataclass
class Hollow:
    """A model of shapes, and the mode under which it can be asked."""

    loaded: Loaded
    mode: FakeTensorMode


def fill(bare: Loaded, task: Task, method: Method, *, half: Half | None, device: str = "cpu") -> Hollow:
    """Make a skeleton (`load.skeleton`) with the method's modules in it one that can be asked; it is changed in place.

    Args:
        bare: the skeleton, after `store.prepare`.
        task: what is learnt.
        method: what trains.
        half: what products are computed in.
        device: where the weights would lie.

    Raises:
        WeitiaoError: `missing_extra` for a 4-bit base without bitsandbytes.
    """
    model = bare.model
    if half and method.layout != "pretrained":
        anatomy.cast_frozen(model, half)
    hollow = Hollow(bare, Shapes())
    _materialise(model, hollow.mode, device)
    if method.base_bits == 4:
        _pack(bare, hollow.mode)
    if task.packs:
        with hollow.mode, autocast(device, half):
            heads.learn(model, by_value=False)
    bare.trained = store.trained(model)
    return hollow


def _materialise(model: nn.Module, mode: FakeTensorMode, device: str) -> None:
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


def _pack(bare: Loaded, mode: FakeTensorMode) -> None:
    """`PackedLinear` where `from_pretrained` would pack a linear layer of the body."""
    packed.ready()
    from bitsandbytes.functional import quantize_4bit

    words: dict[str, Any] = {"compress_statistics": True, "quant_type": "nf4"}
    quantize_4bit(
        torch.zeros(64, 64), **words
    )  # it makes its tables of values on its first call, from numbers
    spared = tuple(f"{name}." for name in anatomy.head_modules(bare.model, bare.head))
    with mode:
        for name, layer in anatomy.linears(bare.model, bare.head).items():
            if type(layer) is nn.Linear and not f"{name}.".startswith(spared) and ".pooler." not in name:
                # From float32, as it is read: so wide is it unpacked again.
                weight, state = quantize_4bit(
                    torch.empty(layer.weight.shape, device=layer.weight.device), **words
                )
                put(bare.model, name, packed.PackedLinear(weight, state, layer.bias))
