"""Bottleneck adapters: a small network inside every block.

A(x) = s * (W_up act(W_down x + b) + b')        W_down: (d, D), W_up: (D, d)

houlsby   y + A(y), behind attention and behind the feed-forward, before the residual is added (2019, 1902.00751)
pfeiffer  behind the whole feed-forward sublayer: LN(r + y + A(LN(r + y))), or h + A(h) in pre-LN blocks (2020, 2005.00247)
parallel  y + A(x), beside the feed-forward, from what goes into it (He et al. 2022, 2110.04366)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from weitiao.core.contracts import Inserted, Method, Tokenize
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import because
from weitiao.methods.gate import Gate, Rows, watch_rows
from weitiao.models import anatomy, linear
from weitiao.models.wrap import Wrapper, hang, plain, put

NAME = "adapter"  # what the bottlenecks are called inside the model
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "swish": nn.SiLU,
    "tanh": nn.Tanh,
}
Placement = Literal["houlsby", "pfeiffer", "parallel"]


class Bottleneck(Inserted, nn.Module):
    """Down, through a non-linearity, and up again; up begins at zero, so that nothing is changed at first."""

    def __init__(
        self,
        width: int,
        inner: int,
        *,
        non_linearity: str,
        scaling: float | Literal["learned"],
        dropout: float = 0.0,
        ln_before: bool = False,
        ln_after: bool = False,
        gate: Gate | None = None,
    ):
        super().__init__()
        self.norm_before = nn.LayerNorm(width) if ln_before else None
        self.down = nn.Linear(width, inner)
        self.act = ACTIVATIONS[non_linearity]()
        self.up = nn.Linear(inner, width)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        self.scaling: Tensor | float = nn.Parameter(torch.ones(1)) if scaling == "learned" else scaling
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.gate = gate
        self.norm_after = nn.LayerNorm(width) if ln_after else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D), to be added to something."""
        h = x if self.norm_before is None else self.norm_before(x)
        y = self.dropout(self.up(self.act(self.down(h))) * self.scaling)
        if self.gate is not None:
            y = y * self.gate(x)[..., None].to(y.dtype)
        return y if self.norm_after is None else self.norm_after(y)


class Adapted(Wrapper):
    """A layer with a bottleneck of its own; the subclasses say where it stands."""

    def __init__(self, base: nn.Module, adapter: Bottleneck):
        super().__init__(base)
        self.adapter = adapter


class Behind(Adapted):
    """A layer and the adapter behind it: y + A(y)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, in) -> (B, T, out)."""
        y = self.base(x)
        return y + self.adapter(y).to(y.dtype) if self.enabled else y


class BehindNorm(Adapted):
    """The norm behind a residual, the adapter, and the norm once more: LN(s + A(LN(s)))."""

    def forward(self, total: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        h = self.base(total)
        return self.base(total + self.adapter(h).to(total.dtype)) if self.enabled else h


class Beside(Adapted):
    """The last layer of a feed-forward, and an adapter on what went into the first: y + A(x)."""

    def __init__(self, base: nn.Module, adapter: Bottleneck):
        super().__init__(base, adapter)
        self.seen: list[Tensor] = []
        """What went into the first layer, until it has been used."""

    def forward(self, inner: Tensor) -> Tensor:
        """(B, T, inner) -> (B, T, D)."""
        y = self.base(inner)
        return y + self.adapter(self.seen.pop()).to(y.dtype) if self.enabled else y

    def note(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Hook of the first layer."""
        self.seen[:] = [inputs[0]] if self.enabled else []


def _behind_block(block: nn.Module, args: Any, output: Any) -> Any:
    hidden = output[0] if isinstance(output, tuple) else output
    for child in block.children():
        if isinstance(child, Bottleneck) and child.enabled:
            hidden = hidden + child(hidden).to(hidden.dtype)
    return (hidden, *output[1:]) if isinstance(output, tuple) else hidden


@register("method", "adapter")
@dataclass(frozen=True)
class Adapter(Method):
    """A bottleneck of two thin layers in every block; small files, can be stacked and switched on one base."""

    placement: Placement = "pfeiffer"
    """Behind both sublayers, behind the feed-forward alone, or beside the feed-forward."""
    reduction_factor: Annotated[float, Field(ge=1)] = 8.0
    """The bottleneck is the model's width divided by this."""
    non_linearity: Literal["relu", "gelu", "swish", "tanh"] = "relu"
    """Between the two layers."""
    scaling: Annotated[float, Field(gt=0)] | Literal["learned"] = 1.0
    """What comes out is multiplied by this (He et al. take 4 beside the feed-forward); `learned` begins at 1."""
    adapter_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout behind it, in training."""
    ln_before: bool = False
    """A norm of its own before the bottleneck."""
    ln_after: bool = False
    """A norm of its own behind it, before it is added."""
    train_layer_norms: bool = False
    """Train the model's own norms too, as Houlsby et al. did."""

    summary: ClassVar[str] = "a bottleneck in every block, and the head"
    source: ClassVar[str] = "Houlsby et al. 2019, arXiv 1902.00751; Pfeiffer et al. 2020, arXiv 2005.00247"
    foldable: ClassVar[bool] = False
    layout: ClassVar[Literal["pretrained", "peft", "adapter"]] = "adapter"
    learning_rate: ClassVar[float] = 1e-3
    space: ClassVar[Mapping[str, Any]] = {"reduction_factor": [2, 4, 8, 16, 32]}
    starts_as_base: ClassVar[bool] = True

    def attach(self, model: nn.Module, head: frozenset[str], tokenize: Tokenize) -> nn.Module:
        """Put a bottleneck into every block.

        Raises:
            WeitiaoError: `unfit_setting` when the bottleneck would have no width; `unknown_anatomy`.
        """
        norms = anatomy.norm_weights(model)
        put_in(model, self, gated=False)
        for name, weight in model.named_parameters():
            norm = self.train_layer_norms and id(weight) in norms
            weight.requires_grad_(is_adapter(name) or name in head or norm)
        return model

    def trains(self, name: str, weight: Tensor, head: frozenset[str]) -> bool:
        """What `attach` chose: the bottlenecks, the head, and the norms if asked for."""
        return weight.requires_grad

    def peft_name(self, name: str) -> str:
        """Without the wrappers."""
        return plain(name)


def is_adapter(name: str) -> bool:
    """Is it a parameter of a bottleneck?"""
    return f".{NAME}." in f".{plain(name)}"


def put_in(model: nn.Module, method: Adapter, *, gated: bool) -> None:
    """Put bottlenecks into every block, with gates if asked for.

    Raises:
        WeitiaoError: `unfit_setting` when the bottleneck would have no width; `unknown_anatomy`.
    """
    rows = watch_rows(model) if gated else None
    for block in anatomy.blocks(model):
        first, last = block.feed_forward(model)
        width = linear.sizes(model.get_submodule(last))[1]
        inner = int(width / method.reduction_factor)
        if inner < 1:
            value = method.reduction_factor
            raise fault(
                "unfit_setting", key="reduction_factor", value=value, **because("width_is", width=width)
            )
        where = next(block.module.parameters()).device
        make = partial(
            _make, method, width, inner, gated=gated, rows=None if block.causal else rows, where=where
        )
        if method.placement == "houlsby":
            for name in [*block.attention_outputs(model), last]:
                put(model, name, Behind(model.get_submodule(name), make()))
        elif method.placement == "parallel":
            beside = Beside(model.get_submodule(last), make())
            put(model, last, beside)
            model.get_submodule(first[0]).register_forward_pre_hook(beside.note)
        elif norm := block.last_norm(model):
            put(model, norm, BehindNorm(model.get_submodule(norm), make()))
        else:
            if not any(isinstance(child, Bottleneck) for child in block.module.children()):
                block.module.register_forward_hook(_behind_block)
            hang(block.module, NAME, make())


def _make(
    method: Adapter, width: int, inner: int, *, gated: bool, rows: Rows | None, where: torch.device
) -> Bottleneck:
    made = Bottleneck(
        width,
        inner,
        non_linearity=method.non_linearity,
        scaling=method.scaling,
        dropout=method.adapter_dropout,
        ln_before=method.ln_before,
        ln_after=method.ln_after,
        gate=Gate(width, rows=rows) if gated else None,
    )
    return made.to(where)
