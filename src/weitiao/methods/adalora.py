"""AdaLoRA: a change in SVD form whose rank is dealt out by importance (Zhang et al. 2023, arXiv 2303.10512).

y = W x + alpha / R B (E * A) x        A: (R, in), E: (R, 1), B: (out, R); E begins at zero
score of a triplet = s(E) + mean s(A row) + mean s(B column),   s = smoothed |w dw| times its smoothed deviation
budget: initial until `tinit`, then falls as a cubic to the target at total - `tfinal`, then stays
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from weitiao.core.contracts import Method, Moment, Tokenize
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.section_values import MULTIPLE
from weitiao.core.why import because, reason
from weitiao.methods.chance import drawn
from weitiao.methods.targets import chosen, refuse_large_rank, saved_layers, told
from weitiao.models import linear
from weitiao.models.wrap import Wrapper, inserted, plain, put, unwrap

LEAVES = ("lora_A", "lora_E", "lora_B")
TRAINED = tuple(f".{leaf}" for leaf in LEAVES)


class SvdLinear(Wrapper):
    """A frozen linear layer and its change in SVD form, with what the allocator remembers of it."""

    kept: Tensor
    """Which triplets stay, (R,)."""

    def __init__(self, base: nn.Module, *, r: int, alpha: float, dropout: float):
        super().__init__(base)
        before, after = linear.sizes(base)
        where = linear.device(base)
        fill = partial(nn.init.normal_, std=0.02)
        self.lora_A = nn.Parameter(drawn(fill, r, before, device=where))
        self.lora_E = nn.Parameter(torch.zeros(r, 1, device=where))
        self.lora_B = nn.Parameter(drawn(fill, after, r, device=where))
        # The small number is PEFT's, whose output ours is to equal.
        self.scaling = alpha / (r + 1e-5)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        for leaf in LEAVES:
            weight = getattr(self, leaf)
            self.register_buffer(f"sensitivity_{leaf}", torch.zeros_like(weight), persistent=False)
            self.register_buffer(f"deviation_{leaf}", torch.zeros_like(weight), persistent=False)
        self.register_buffer("kept", torch.ones(r, dtype=torch.bool, device=where), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        if not self.enabled:
            return self.base(x)
        low = linear.low_rank(self.dropout(x), self.lora_A * self.lora_E, self.lora_B * self.scaling)
        return linear.plus(self.base, x, low)

    @torch.no_grad()
    def note(self, *, beta1: float, beta2: float) -> None:
        """Smooth the sensitivity |w dw| of every entry, and how far it strays (equations 9 to 11)."""
        for leaf in LEAVES:
            weight = getattr(self, leaf)
            if (
                weight.grad is None
            ):  # a layer that the model never asks, as an encoder's pooler beside a decoder
                continue
            mean, deviation = getattr(self, f"sensitivity_{leaf}"), getattr(self, f"deviation_{leaf}")
            now = (weight * weight.grad).abs()
            mean.mul_(beta1).add_(now, alpha=1 - beta1)
            deviation.mul_(beta2).add_((now - mean).abs(), alpha=1 - beta2)

    def scores(self) -> Tensor:
        """Importance of each triplet, (R,) (equation 8)."""
        down, value, up = (
            getattr(self, f"sensitivity_{n}") * getattr(self, f"deviation_{n}") for n in LEAVES
        )
        return value[:, 0] + down.mean(1) + up.mean(0)

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """The base layer with the change added to its weight."""
        return linear.add_(self.base, self.lora_B @ (self.lora_A * self.lora_E) * self.scaling)


@register("method", "adalora")
@dataclass(frozen=True)
class AdaLora(Method):
    """LoRA with a budget of ranks that ends where it is needed: layers that matter keep more of them."""

    init_r: Annotated[int, Field(ge=1)] = 12
    """Rank of every change in the beginning."""
    target_r: Annotated[int, Field(ge=1)] = 8
    """Mean rank in the end."""
    lora_alpha: Annotated[float, Field(gt=0, le=MULTIPLE)] = 32
    """The change is scaled by `lora_alpha / init_r`."""
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout before the low-rank path, in training."""
    target_modules: str | list[str] = "all-linear"
    """`all-linear`, a list of name endings (`[query, value]`), or one regular expression, as in PEFT."""
    tinit: Annotated[float, Field(ge=0)] = 0.1
    """Steps before the budget begins to fall; below 1 it is a share of all steps."""
    tfinal: Annotated[float, Field(ge=0)] = 0.3
    """Steps at the end in which ranks stay; below 1 it is a share of all steps."""
    deltaT: Annotated[int, Field(ge=1)] = 1  # noqa: N815 - as the paper and PEFT have it
    """Steps between two allocations."""
    beta1: Annotated[float, Field(gt=0, lt=1)] = 0.85
    """Memory of the sensitivity."""
    beta2: Annotated[float, Field(gt=0, lt=1)] = 0.85
    """Memory of its deviation."""
    orth_reg_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the penalty that keeps A's rows and B's columns orthonormal."""

    summary: ClassVar[str] = "low-rank matrices whose ranks are dealt out by importance, and the head"
    source: ClassVar[str] = "Zhang et al. 2023, arXiv 2303.10512"
    foldable: ClassVar[bool] = True
    starts_as_base: ClassVar[bool] = True
    layout: ClassVar[Literal["pretrained", "peft", "adapter"]] = "peft"
    learning_rate: ClassVar[float] = 2e-3
    space: ClassVar[Mapping[str, Any]] = {"init_r": {"low": 8, "high": 32, "log": True}}

    def attach(self, model: nn.Module, head: frozenset[str], tokenize: Tokenize) -> nn.Module:
        """Put an `SvdLinear` around every target.

        Raises:
            WeitiaoError: `no_such_modules`, or `unfit_setting` when ranks do not fit.
        """
        if self.target_r > self.init_r:
            ranks = because("ranks_only_fall", init_r=self.init_r)
            raise fault("unfit_setting", key="target_r", value=self.target_r, **ranks)
        targets = chosen(model, head, self.target_modules, rank=self.init_r)
        refuse_large_rank(targets, self.init_r, key="init_r")
        for name, base in targets.items():
            change = SvdLinear(base, r=self.init_r, alpha=self.lora_alpha, dropout=self.lora_dropout)
            put(model, name, change)
        return model

    def notices(self, model: nn.Module, head: frozenset[str]) -> list[str]:
        """What `all-linear` leaves out."""
        return told(model, head, self.target_modules, rank=self.init_r)

    def trains(self, name: str, weight: Tensor, head: frozenset[str]) -> bool:
        """The triplets and the head."""
        return name.endswith(TRAINED) or name in head

    def penalty(self, model: nn.Module) -> Tensor | float:
        """Mean Frobenius norm of A A' - 1 and B' B - 1 over all matrices (equation 4, as PEFT weighs it)."""
        if not self.orth_reg_weight:
            return 0.0
        strayed = []
        for _, layer in inserted(model, SvdLinear):
            for square in (layer.lora_A @ layer.lora_A.t(), layer.lora_B.t() @ layer.lora_B):
                one = torch.eye(len(square), device=square.device, dtype=square.dtype)
                strayed.append(torch.linalg.norm(square - one))
        return self.orth_reg_weight * torch.stack(strayed).mean()

    def before_step(self, model: nn.Module, moment: Moment) -> None:
        """Before the first one: is there time to deal ranks out?

        Raises:
            WeitiaoError: `wrong_value` when the budget would have no steps to fall in.
        """
        warm, fine = self._steps(self.tinit, moment.total), self._steps(self.tfinal, moment.total)
        if moment.step == 0 and warm + fine >= moment.total > 1:
            why = reason("no_steps_for_ranks", tfinal=f"{self.tfinal:g}", total=moment.total)
            raise fault("wrong_value", key="method.tinit", value=self.tinit, why=why)

    def after_step(self, model: nn.Module, moment: Moment) -> None:
        """Note what matters, and every `deltaT` steps set the least important E to zero (algorithm 1)."""
        layers = [layer for _, layer in inserted(model, SvdLinear)]
        warm, fine = self._steps(self.tinit, moment.total), self._steps(self.tfinal, moment.total)
        last = moment.total - fine
        if moment.step < last:
            for layer in layers:
                layer.note(beta1=self.beta1, beta2=self.beta2)
        if moment.step > last:
            for layer in layers:  # dropped triplets stay dropped; their gradients would bring them back
                layer.lora_E.data[~layer.kept] = 0
        # The last allocation is made up for where its step was left out.
        owed = moment.step > last and sum(int(layer.kept.sum()) for layer in layers) > self.target_r * len(
            layers
        )
        falls = warm < moment.step < last and moment.step % self.deltaT == 0
        if owed or falls or moment.step == last:
            self._allocate(layers, self._budget(moment.step, warm=warm, last=last, layers=len(layers)))

    def hold(self, model: nn.Module, average: Mapping[str, Tensor]) -> None:
        """The average of a dropped triplet remembers what it was, and would bring it back."""
        for name, layer in inserted(model, SvdLinear):
            average[f"{name}.lora_E"].data[~layer.kept] = 0

    def _budget(self, step: int, *, warm: int, last: int, layers: int) -> int:
        """Triplets that stay, over all layers (equation 12)."""
        target, whole = self.target_r * layers, self.init_r * layers
        if step >= last:
            return target
        left = 1 - (step - warm) / (last - warm)
        return int((whole - target) * left**3 + target)

    @torch.no_grad()
    def _allocate(self, layers: list[SvdLinear], budget: int) -> None:
        scores = torch.cat([layer.scores() for layer in layers])
        drop = len(scores) - budget
        if drop <= 0:
            return
        limit = torch.kthvalue(scores, drop).values
        for layer in layers:
            layer.kept.copy_(layer.scores() > limit)
            layer.lora_E.data[~layer.kept] = 0

    @staticmethod
    def _steps(given: float, total: int) -> int:
        return int(given * total) if given < 1 else int(given)

    def state(self, model: nn.Module) -> dict[str, Tensor]:
        """Smoothed sensitivities, and which triplets stay."""
        return {
            f"{name}.{leaf}": buffer
            for name, layer in inserted(model, SvdLinear)
            for leaf, buffer in layer.named_buffers(recurse=False)
        }

    def fold(self, model: nn.Module) -> nn.Module:
        """Plain linear layers again."""
        return unwrap(model, SvdLinear, SvdLinear.folded)

    def saved_config(self, model: nn.Module, head: frozenset[str]) -> dict[str, Any]:
        """What PEFT needs to build the same layers.

        All `init_r` triplets are written, the dropped ones with E = 0: PEFT scales by the rank that it builds, so
        leaving them out would change the output.
        """
        return saved_layers(model, head, dict(inserted(model, SvdLinear))) | {
            "peft_type": "ADALORA",
            "init_r": self.init_r,
            "target_r": self.target_r,
            "lora_alpha": self.lora_alpha,
            "lora_dropout": self.lora_dropout,
            "bias": "none",
            "total_step": 1,  # read when training alone, and PEFT wants some number
        }

    def peft_name(self, name: str) -> str:
        """The same there."""
        return plain(name)

    def fill(
        self,
        model: nn.Module,
        head: frozenset[str],
        trained: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
    ) -> None:
        """Weights back, and with them which triplets were dropped."""
        super().fill(model, head, trained, state)
        for name, layer in inserted(model, SvdLinear):
            if f"{name}.lora_E" in trained:
                layer.kept.copy_(layer.lora_E[:, 0] != 0)
