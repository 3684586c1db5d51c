"""LoRA: a low-rank change beside linear layers (Hu et al. 2021, arXiv 2106.09685).

y = W x + (alpha / r) B A x        A: (R, in), B: (out, R), B starts at zero
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from weitiao.core.contracts import Method
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.registry import register
from weitiao.models import anatomy


class LoraLinear(nn.Module):
    """A frozen linear layer and its low-rank change."""

    def __init__(self, base: nn.Linear, *, r: int, alpha: float, dropout: float):
        super().__init__()
        self.base = base
        # As PEFT starts: A as nn.Linear does, B zero, so that the first output is the base's.
        self.lora_A = nn.Parameter(torch.empty(r, base.in_features, device=base.weight.device))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, r, device=base.weight.device))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self.scaling = alpha / r
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.enabled = True

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        y = self.base(x)
        if not self.enabled:
            return y
        return y + F.linear(F.linear(self.dropout(x), self.lora_A), self.lora_B) * self.scaling

    def folded(self) -> nn.Linear:
        """The base layer with the change added to its weight."""
        with torch.no_grad():
            self.base.weight += (self.lora_B @ self.lora_A * self.scaling).to(self.base.weight.dtype)
        return self.base


@register("method", "lora")
@dataclass(frozen=True)
class Lora(Method):
    """Low-rank matrices train beside frozen linear layers; nothing is slower when folded."""

    r: Annotated[int, Field(ge=1)] = 16
    """Rank of the change."""
    lora_alpha: Annotated[float, Field(gt=0)] = 32
    """The change is scaled by `lora_alpha / r`."""
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout before the low-rank path, in training."""
    target_modules: str | list[str] = "all-linear"
    """`all-linear`, a list of name endings (`[query, value]`), or one regular expression, as in PEFT."""

    summary: ClassVar[str] = "low-rank matrices beside linear layers, and the head; 1 to 4 %"
    source: ClassVar[str] = "Hu et al. 2021, arXiv 2106.09685"
    foldable: ClassVar[bool] = True
    starts_as_base: ClassVar[bool] = True
    layout: ClassVar[Literal["pretrained", "peft"]] = "peft"
    learning_rate: ClassVar[float] = 5e-4

    def targets(self, model: nn.Module, head: frozenset[str]) -> dict[str, nn.Linear]:
        """The linear layers that get a change, by full name.

        Raises:
            WeitiaoError: `no_such_modules` when a name ending or the expression matches none.
        """
        every = anatomy.linears(model, head)
        if self.target_modules == "all-linear":
            return every
        if isinstance(self.target_modules, str):
            pattern = self.target_modules
            return self._found({n: m for n, m in every.items() if re.fullmatch(pattern, n)}, pattern, every)
        chosen: dict[str, nn.Linear] = {}
        for ending in self.target_modules:
            matches = {n: m for n, m in every.items() if n == ending or n.endswith(f".{ending}")}
            chosen |= self._found(matches, ending, every)
        return chosen

    def _found(
        self, matches: dict[str, nn.Linear], asked: str, every: dict[str, nn.Linear]
    ) -> dict[str, nn.Linear]:
        if not matches:
            endings = sorted({name.rpartition(".")[2] for name in every})
            hint = did_you_mean(asked, endings)
            raise fault("no_such_modules", asked=asked, hint=hint, known=", ".join(endings))
        return matches

    def attach(self, model: nn.Module, head: frozenset[str]) -> nn.Module:
        """Put a `LoraLinear` around every target."""
        for name, linear in self.targets(model, head).items():
            parent, _, leaf = name.rpartition(".")
            wrapped = LoraLinear(linear, r=self.r, alpha=self.lora_alpha, dropout=self.lora_dropout)
            setattr(model.get_submodule(parent), leaf, wrapped)
        return model

    def trains(self, name: str, weight: Tensor, head: frozenset[str]) -> bool:
        """The low-rank matrices and the head."""
        return name.endswith((".lora_A", ".lora_B")) or name in head

    def switch(self, model: nn.Module, *, on: bool) -> None:
        """Use the low-rank path or not."""
        for _, layer in _layers(model):
            layer.enabled = on

    def fold(self, model: nn.Module) -> nn.Module:
        """Plain linear layers again, W + (alpha / r) B A."""
        for name, layer in list(_layers(model)):
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, layer.folded())
        return model

    def peft_config(self, model: nn.Module, head: frozenset[str]) -> dict[str, Any]:
        """What PEFT needs to build the same layers."""
        return {
            "peft_type": "LORA",
            "r": self.r,
            "lora_alpha": self.lora_alpha,
            "lora_dropout": self.lora_dropout,
            "bias": "none",
            "target_modules": sorted(name for name, _ in _layers(model)),
            "modules_to_save": anatomy.head_modules(model, head) or None,
        }

    def peft_name(self, name: str) -> str:
        """`query.lora_A` is `query.lora_A.weight` there."""
        return f"{name}.weight" if name.endswith((".lora_A", ".lora_B")) else name


def _layers(model: nn.Module) -> Iterator[tuple[str, LoraLinear]]:
    return ((name, module) for name, module in model.named_modules() if isinstance(module, LoraLinear))
