"""(IA)3: keys, values and the feed-forward's inner activations are rescaled (Liu et al. 2022, arXiv 2205.05638).

key and value:  y = l * (W x)          last layer of the feed-forward:  y = W (l * x);     l begins at one
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from weitiao.core.contracts import Method, Tokenize
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import because, reason
from weitiao.methods.targets import chosen, saved_layers
from weitiao.models import anatomy, linear
from weitiao.models.wrap import Wrapper, inserted, plain, put, unwrap


class RescaledLinear(Wrapper):
    """A frozen linear layer whose outputs, or inputs, are multiplied by learnt factors."""

    def __init__(self, base: nn.Module, *, inputs: bool):
        super().__init__(base)
        before, after = linear.sizes(base)
        where = linear.device(base)
        # PEFT's shapes: a column for outputs, a row for inputs.
        self.ia3_l = nn.Parameter(torch.ones((1, before) if inputs else (after, 1), device=where))
        self.inputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        if not self.enabled:
            return self.base(x)
        factors = self.ia3_l.flatten()
        if self.inputs:
            return self.base((x * factors).to(x.dtype))
        y = self.base(x)
        return (y * factors).to(y.dtype)

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """The base layer with rows, or columns, of its weight multiplied, and its bias with the outputs."""
        dense = linear.dense(self.base).float()
        layer = linear.add_(self.base, dense * self.ia3_l - dense)
        bias = linear.bias(layer)
        if bias is not None and not self.inputs:
            bias.mul_(self.ia3_l.flatten())
        return layer


@register("method", "ia3")
@dataclass(frozen=True)
class Ia3(Method):
    """One factor for each key, value and inner activation: the fewest parameters, made for few examples."""

    target_modules: list[str] | Literal["auto"] = "auto"
    """Name endings of the layers that are rescaled; `auto`: every key, value and last feed-forward layer."""
    feedforward_modules: list[str] | Literal["auto"] = "auto"
    """Those among them whose inputs are rescaled instead of their outputs; `auto`: the last feed-forward layers."""

    summary: ClassVar[str] = "factors on keys, values and inner activations, and the head"
    source: ClassVar[str] = "Liu et al. 2022, arXiv 2205.05638"
    foldable: ClassVar[bool] = True
    starts_as_base: ClassVar[bool] = True
    layout: ClassVar[Literal["pretrained", "peft", "adapter"]] = "peft"
    learning_rate: ClassVar[float] = 1e-2

    def attach(self, model: nn.Module, head: frozenset[str], tokenize: Tokenize) -> nn.Module:
        """Put a `RescaledLinear` around every target.

        Raises:
            WeitiaoError: `no_such_modules`; `unfit_setting` when one of `feedforward_modules` is no target;
                `unknown_anatomy` when `auto` finds no keys.
        """
        targets, inner = self._targets(model, head)
        if strangers := sorted(inner - targets):
            strange, value = because("not_among_targets", name=strangers[0]), self.feedforward_modules
            raise fault("unfit_setting", key="feedforward_modules", value=value, **strange)
        for name in sorted(targets):
            put(model, name, RescaledLinear(model.get_submodule(name), inputs=name in inner))
        return model

    def _targets(self, model: nn.Module, head: frozenset[str]) -> tuple[set[str], set[str]]:
        blocks = anatomy.blocks(model) if "auto" in (self.target_modules, self.feedforward_modules) else []
        last = {block.feed_forward(model)[1] for block in blocks}
        if self.target_modules == "auto":
            kinds = (anatomy.KEY, anatomy.VALUE)
            rows = [a.projection(kind) for block in blocks for a in block.attentions for kind in kinds]
            if None in rows:
                raise fault("unknown_anatomy", what=reason("keys_of_attention"))
            targets = {name for name in rows if name} | last
        else:
            targets = set(chosen(model, head, self.target_modules))
        if self.feedforward_modules == "auto":
            return targets, last & targets
        inner = set(chosen(model, head, self.feedforward_modules)) if self.feedforward_modules else set()
        return targets, inner

    def trains(self, name: str, weight: Tensor, head: frozenset[str]) -> bool:
        """The factors and the head."""
        return name.endswith(".ia3_l") or name in head

    def fold(self, model: nn.Module) -> nn.Module:
        """Plain linear layers again."""
        return unwrap(model, RescaledLinear, RescaledLinear.folded)

    def saved_config(self, model: nn.Module, head: frozenset[str]) -> dict[str, Any]:
        """What PEFT needs to build the same layers."""
        layers = dict(inserted(model, RescaledLinear))
        return saved_layers(model, head, layers) | {
            "peft_type": "IA3",
            "feedforward_modules": sorted(plain(name) for name, layer in layers.items() if layer.inputs),
        }

    def peft_name(self, name: str) -> str:
        """The same there."""
        return plain(name)
