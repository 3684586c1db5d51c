"""A model of shapes alone: every weight has its size, type and device, and takes no memory.

    fake = fill(skeleton, task, method, half="bfloat16")
    with fake.mode:  task.loss(fake.loaded.model, batch)      goes through every operation, computes none

The model is put together as a run puts it together (skeleton, the method's modules, half-precision or 4-bit base), and
its weights are torch's fake tensors, so what a step would hold can be counted for models that no machine here could
load.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from weitiao.core.contracts import Method, Task
from weitiao.models import anatomy, four_bit, output_loss, store, two_sides
from weitiao.models.load import Loaded
from weitiao.models.precision import Half, autocast
from weitiao.models.shapes import Shapes, materialise
from weitiao.models.wrap import put


@dataclass
class FakeModel:
    """A model of shapes, and the mode under which it can be asked."""

    loaded: Loaded
    mode: FakeTensorMode


def fill(
    bare: Loaded,
    task: Task,
    method: Method | None,
    *,
    half: Half | None,
    device: str = "cpu",
    mode: FakeTensorMode | None = None,
) -> FakeModel:
    """Make a skeleton (`load.skeleton`) with the method's modules in it one that can be asked; it is changed in place.

    Args:
        bare: the skeleton, after `store.prepare`.
        task: what is learnt.
        method: what trains; None: nothing.
        half: what products are computed in.
        device: where the weights would lie.
        mode: of another model that is asked in the same pass; default: one of its own.

    Raises:
        WeitiaoError: `missing_extra` for a 4-bit base without bitsandbytes.
    """
    model = bare.model
    if half and (method is None or method.layout != "pretrained"):
        anatomy.cast_frozen(model, half)
    fake = FakeModel(bare, mode or Shapes())
    materialise(model, fake.mode, device)
    if method and method.base_bits == 4:
        _pack(bare, fake.mode)
    if task.packs and not two_sides.writes(model):
        with fake.mode, autocast(device, half):
            output_loss.learn(model, by_value=False)
    bare.trained = store.trained(model)
    return fake


def _pack(bare: Loaded, mode: FakeTensorMode) -> None:
    """`PackedLinear` where `from_pretrained` would pack a linear layer of the body."""
    four_bit.ready()
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
                put(bare.model, name, four_bit.PackedLinear(weight, state, layer.bias))
