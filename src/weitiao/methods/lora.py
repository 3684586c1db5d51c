"""LoRA and its variants: a low-rank change beside linear layers (Hu et al. 2021, arXiv 2106.09685).

y = W x + s B A x          A: (R, in), B: (out, R), s = alpha / R, or alpha / sqrt(R) under rsLoRA
y = m (W + s B A) x / |W + s B A|                                                          under DoRA
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from weitiao.core.contracts import Method, Tokenize, fill_weights
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.section_values import MULTIPLE
from weitiao.core.why import because
from weitiao.methods.chance import drawn
from weitiao.methods.gate import Gate
from weitiao.methods.lora_conv import LoraConv, convolutions
from weitiao.methods.lora_init import Eva, olora, pissa
from weitiao.methods.targets import chosen, ranks, refuse_large_rank, saved_layers, told
from weitiao.models import linear
from weitiao.models.four_bit import unpack
from weitiao.models.wrap import Wrapper, inserted, plain, put, unwrap

TRAINED = (".lora_A", ".lora_B", ".lora_magnitude")


class LoraLinear(Wrapper):
    """A frozen linear layer and its low-rank change."""

    def __init__(
        self,
        base: nn.Module,
        *,
        r: int,
        scaling: float,
        dropout: float = 0.0,
        init: str = "default",
        dora: bool = False,
        gate: Gate | None = None,
    ):
        super().__init__(base)
        self.gate = gate
        before, after = linear.sizes(base)
        where = linear.device(base)
        # As PEFT and diffusers draw it; or as nn.Linear draws its weight.  B is zero: the first output is the base's.
        normal, kaiming = (
            partial(nn.init.normal_, std=1 / r),
            partial(nn.init.kaiming_uniform_, a=math.sqrt(5)),
        )
        fill = normal if init == "gaussian" else kaiming
        self.lora_A = nn.Parameter(drawn(fill, r, before, device=where))
        self.lora_B = nn.Parameter(torch.zeros(after, r, device=where))
        self.scaling = scaling
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        # PiSSA and OLoRA begin at a part of W that the base is to lose: what was begun with is taken off again, so
        # that W itself stays as it is.
        self.started = init in ("pissa", "olora")
        self.register_buffer("start_A", None)
        self.register_buffer("start_B", None)
        if self.started:
            down, up = {"pissa": pissa, "olora": olora}[init](linear.dense(base).float(), r, scaling)
            self.lora_A.data.copy_(down)
            self.lora_B.data.copy_(up)
            self.start_A, self.start_B = self.lora_A.detach().clone(), self.lora_B.detach().clone()
        if dora:
            self.lora_magnitude = nn.Parameter(self._norm())
        self.dora = dora

    def pair(self) -> tuple[Tensor, Tensor]:
        """A (R, in) and B (out, R) of the whole change; of twice the rank when something is taken off."""
        if not self.started:
            return self.lora_A, self.lora_B
        return torch.cat([self.lora_A, self.start_A]), torch.cat([self.lora_B, -self.start_B], dim=1)

    def change(self) -> Tensor:
        """s B A, (out, in)."""
        down, up = self.pair()
        return up @ down * self.scaling

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        if not self.enabled:
            return self.base(x)
        down, up = self.pair()
        dropped = self.dropout(x)
        if dropped is x and self.gate is None:
            y = linear.plus_low_rank(self.base, x, down, up * self.scaling)
        else:
            low = linear.low_rank(dropped, down, up * self.scaling)
            if self.gate is not None:
                low = low * self.gate(x)[..., None].to(low.dtype)
            y = linear.plus(self.base, x, low)
        if not self.dora:
            return y
        bias = self.bias
        # The norm is held constant in backward, as the paper proposes (section 4.3) and PEFT does.
        ratio = self.lora_magnitude / self._norm()
        return (ratio * y if bias is None else ratio * (y - bias) + bias).to(y.dtype)

    @torch.no_grad()
    def _norm(self) -> Tensor:
        return torch.linalg.norm(linear.dense(self.base).float() + self.change(), dim=1)

    def folded(self) -> nn.Module:
        """The base layer with the change added to its weight."""
        with torch.no_grad():
            change = self.change()
            if self.dora:
                dense = linear.dense(self.base).float()
                ratio = (self.lora_magnitude / self._norm())[:, None]
                change = ratio * (dense + change) - dense
        return linear.add_(self.base, change)


@register("method", "qlora", base_bits=4)
@register("method", "lora")
@dataclass(frozen=True)
class Lora(Method):
    """Low-rank matrices train beside frozen linear layers; nothing is slower when folded."""

    r: Annotated[int, Field(ge=1)] = 16
    """Rank of the change."""
    lora_alpha: Annotated[float, Field(gt=0, le=MULTIPLE)] = 32
    """The change is scaled by `lora_alpha / r`."""
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout before the low-rank path, in training."""
    target_modules: str | list[str] = "all-linear"
    """`all-linear`, a list of name endings (`[query, value]`), or one regular expression, as in PEFT."""
    rank_pattern: dict[str, Annotated[int, Field(ge=1)]] = field(default_factory=dict)
    """Other ranks by layer, as in PEFT: an ending of full names, or a regular expression for it -> the rank there, as in
    `{"layer.[45].*":32,"query":4}`; the first that matches counts, and `lora_alpha` is divided by each layer's own."""
    use_rslora: bool = False
    """Scale by `lora_alpha / sqrt(r)`: large ranks learn as fast as small ones (Kalajdzievski 2023, 2312.03732)."""
    use_dora: bool = False
    """Learn the length of each row of the weight apart from its direction (Liu et al. 2024, 2402.09353)."""
    init_lora_weights: Literal["default", "gaussian", "pissa", "olora", "eva"] = "default"
    """How A and B begin: Kaiming and zero; normal and zero; the largest singular vectors of the weight (PiSSA, Meng et
    al. 2024, 2404.02948); its QR factors (OLoRA, Büyükakyüz 2024, 2406.01775); the largest singular vectors of the
    layer's inputs on the first training rows, the same rank everywhere (EVA, Paischer et al. 2024, 2410.07170)."""
    loraplus_lr_ratio: Annotated[float, Field(ge=1, le=MULTIPLE)] = 1.0
    """B learns so many times faster than A (LoRA+, Hayou et al. 2024, 2402.12354, proposes 16); 1: as fast."""
    base_bits: Literal[4, 16] = 16  # type: ignore[misc]  # other methods' classes say it, this one's settings
    """4: the base lies in 4-bit NF4, doubly quantised (QLoRA, Dettmers et al. 2023, 2305.14314); 16: as it is."""

    summary: ClassVar[str] = "low-rank matrices beside linear layers, and the head"
    source: ClassVar[str] = "Hu et al. 2021, arXiv 2106.09685"
    foldable: ClassVar[bool] = True
    starts_as_base: ClassVar[bool] = True
    layout: ClassVar[Literal["pretrained", "peft", "adapter"]] = "peft"
    learning_rate: ClassVar[float] = 5e-4
    space: ClassVar[Mapping[str, Any]] = {"r": {"low": 4, "high": 64, "log": True}}

    def scaling(self, r: int) -> float:
        """What a change of that rank is multiplied by."""
        return self.lora_alpha / (math.sqrt(r) if self.use_rslora else r)

    def attach(self, model: nn.Module, head: frozenset[str], tokenize: Tokenize) -> nn.Module:
        """Put a `LoraLinear` around every target.

        Raises:
            WeitiaoError: `no_such_modules`, or `unfit_setting` when the rank is larger than a matrix.
        """
        beside = convolutions(model, head) if self.base_bits == 16 else {}
        targets = chosen(model, head, self.target_modules, rank=self.r, beside=beside)
        own = ranks(targets, self.r, self.rank_pattern)
        refuse_large_rank({n: layer for n, layer in targets.items() if own[n] == self.r}, self.r, key="r")
        for name, base in targets.items():
            r = own[name]
            if r != self.r:
                refuse_large_rank({name: base}, r, key="rank_pattern")
            if name in beside:
                put(model, name, self._of_pixels(base, r))
                continue
            change = LoraLinear(
                base,
                r=r,
                scaling=self.scaling(r),
                dropout=self.lora_dropout,
                init=self.init_lora_weights,
                dora=self.use_dora,
            )
            put(model, name, change)
        return model

    def _of_pixels(self, base: nn.Module, r: int) -> LoraConv:
        """The change of a convolution.

        Raises:
            WeitiaoError: `unfit_setting` for what a matrix alone can begin with, or be measured by.
        """
        of_matrices = {
            "init_lora_weights": self.init_lora_weights in ("pissa", "olora", "eva"),
            "use_dora": self.use_dora,
        }
        for key in (key for key, asked in of_matrices.items() if asked):
            raise fault("unfit_setting", key=key, value=getattr(self, key), **because("of_matrices_alone"))
        words: dict[str, Any] = {"dropout": self.lora_dropout, "init": self.init_lora_weights}
        return LoraConv(base, r=r, scaling=self.scaling(r), **words)

    def notices(self, model: nn.Module, head: frozenset[str]) -> list[str]:
        """What `all-linear` leaves out."""
        return told(model, head, self.target_modules, rank=self.r)

    def trains(self, name: str, weight: Tensor, head: frozenset[str]) -> bool:
        """The low-rank matrices and the head."""
        return name.endswith(TRAINED) or name in head

    def calibrate(self, model: nn.Module, passes: Iterator[None]) -> None:
        """EVA: A becomes the directions in which the layer's inputs vary most."""
        if self.init_lora_weights == "eva":
            layers = dict(inserted(model, LoraLinear))
            most = max(len(layer.lora_A) for layer in layers.values())
            for name, down in Eva(model, layers, most).directions(passes).items():
                layers[name].lora_A.data.copy_(down[: len(layers[name].lora_A)])

    def rates(self, model: nn.Module, head: frozenset[str]) -> dict[str, float]:
        """LoRA+: B learns faster."""
        if self.loraplus_lr_ratio == 1:
            return {}
        return {n: self.loraplus_lr_ratio for n, _ in model.named_parameters() if n.endswith(".lora_B")}

    def fold(self, model: nn.Module) -> nn.Module:
        """Plain layers again, W + s B A; a 4-bit base becomes a full one."""
        return unpack(unwrap(unwrap(model, LoraConv, LoraConv.folded), LoraLinear, LoraLinear.folded))

    def saved_config(self, model: nn.Module, head: frozenset[str]) -> dict[str, Any]:
        """What PEFT needs to build the same layers; PiSSA and OLoRA are plain LoRA of twice the rank there."""
        # alpha / r and alpha / sqrt(r) stay what they are at twice the rank.
        twice = 2 if self.init_lora_weights in ("pissa", "olora") else 1
        layers: dict[str, Wrapper] = {**dict(inserted(model, LoraLinear)), **dict(inserted(model, LoraConv))}
        return saved_layers(model, head, layers) | {
            "peft_type": "LORA",
            "r": self.r * twice,
            "rank_pattern": {key: r * twice for key, r in self.rank_pattern.items()},
            "lora_alpha": self.lora_alpha * (math.sqrt(twice) if self.use_rslora else twice),
            "lora_dropout": self.lora_dropout,
            "use_rslora": self.use_rslora,
            "use_dora": self.use_dora,
            "bias": "none",
        }

    def saved_state(
        self, model: nn.Module, head: frozenset[str], trained: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """A and B by PEFT's names, what was begun with behind them."""
        state = super().saved_state(model, head, trained)
        for name, layer in inserted(model, LoraLinear):
            if layer.started and f"{name}.lora_A" in trained:
                for leaf, both in zip(("lora_A", "lora_B"), layer.pair(), strict=True):
                    state[f"base_model.model.{plain(name)}.{leaf}.weight"] = both.detach()
        return state

    def fill(
        self,
        model: nn.Module,
        head: frozenset[str],
        trained: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
    ) -> None:
        """The other way round; each half to its place."""
        own = dict(state)
        for name, layer in inserted(model, LoraLinear):
            if layer.started and f"{name}.lora_A" in trained:
                path = f"base_model.model.{plain(name)}"
                down, up = f"{path}.lora_A.weight", f"{path}.lora_B.weight"
                own[down], start_A = own[down].tensor_split([len(layer.lora_A)])
                own[up], start_B = own[up].tensor_split([len(layer.lora_A)], dim=1)
                fill_weights({down: layer.start_A, up: layer.start_B}, {down: start_A, up: -start_B})
        fill_weights(super().saved_state(model, head, trained), own)

    def peft_name(self, name: str) -> str:
        """`query.lora_A` is `query.lora_A.weight` there, and DoRA's lengths `query.lora_magnitude_vector`."""
        name = plain(name)
        if name.endswith((".lora_A", ".lora_B")):
            return f"{name}.weight"
        return f"{name}_vector" if name.endswith(".lora_magnitude") else name
