"""LoRA beside a convolution: a thin one of the same window, and one of a single pixel that brings its numbers to the outputs.

y = W * x + s B * (A * x)          A: (R, in, height, width), B: (out, R, 1, 1), s as in `lora`

So PEFT has it, and opens what is saved of it.  Convolutions of groups (depthwise ones) stay as they are: a change of rank R over
groups of a few channels would be larger than the layer.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from weitiao.core.contracts import Inserted
from weitiao.methods.chance import drawn
from weitiao.models.wrap import Wrapper, base_modules, plain, under


class LoraConv(Wrapper):
    """A frozen convolution and its low-rank change."""

    def __init__(
        self, base: nn.Module, *, r: int, scaling: float, dropout: float = 0.0, init: str = "default"
    ):
        super().__init__(base)
        layer: Any = under(base)
        window = layer.weight.shape[2:]
        # As `LoraLinear` does.
        fill = (
            partial(nn.init.normal_, std=1 / r)
            if init == "gaussian"
            else partial(nn.init.kaiming_uniform_, a=math.sqrt(5))
        )
        flat = drawn(fill, r, layer.in_channels * window.numel(), device=layer.weight.device)
        self.lora_A = nn.Parameter(flat.view(r, layer.in_channels, *window))
        self.lora_B = nn.Parameter(torch.zeros(layer.out_channels, r, 1, 1, device=layer.weight.device))
        self.scaling = scaling
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.started = False

    def change(self) -> Tensor:
        """s B A, in the shape of the weight."""
        flat = self.lora_B.flatten(1) @ self.lora_A.flatten(1) * self.scaling
        return flat.view(len(self.lora_B), *self.lora_A.shape[1:])

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H', W')."""
        y: Tensor = self.base(x)
        if not self.enabled:
            return y
        layer: Any = under(self.base)
        thin = F.conv2d(self.dropout(x), self.lora_A, None, layer.stride, layer.padding, layer.dilation)
        return y + F.conv2d(thin, self.lora_B * self.scaling)

    def folded(self) -> nn.Module:
        """The convolution with the change added to its weight."""
        layer: Any = under(self.base)
        with torch.no_grad():
            layer.weight.add_(self.change().to(layer.weight.dtype))
        return self.base


def convolutions(model: nn.Module, head: frozenset[str]) -> dict[str, nn.Module]:
    """The convolutions of the body that may be changed so, by full name.

    Args:
        model: any model.
        head: names of the parameters of the task's new output layer.
    """
    new = {name.rpartition(".")[0] for name in head}
    return {
        name: module
        for name, module in base_modules(model)
        if isinstance(module, nn.Conv2d)
        and not isinstance(module, Inserted)
        and module.groups == 1
        and module.padding_mode == "zeros"
        and plain(name) not in new
    }
