"""Unions of methods: MAM and UniPELT.

MAM      a short prefix in attention and a wide adapter beside the feed-forward (He et al. 2022, arXiv 2110.04366)
UniPELT  LoRA on queries and values, a prefix, and an adapter behind the feed-forward, each behind a learnt gate
         (Mao et al. 2022, arXiv 2110.07577)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from weitiao.core.contracts import Inserted, Method, Tokenize, fill_weights
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.methods import adapter, lora, prefix
from weitiao.methods.gate import Gate, Rows, watch_rows
from weitiao.methods.targets import refuse_large_rank
from weitiao.models import anatomy, attention, linear
from weitiao.models.wrap import hang, plain, put

GATE = "prefix_gate"  # what a prefix's gate is called inside its attention module


class _Union(Method):
    """What unions share: a prefix is saved as the numbers that reach the layers, the rest as it is."""

    foldable: ClassVar[bool] = False
    starts_as_base: ClassVar[bool] = False
    layout: ClassVar[Literal["pretrained", "peft", "adapter"]] = "adapter"

    def trains(self, name: str, weight: Tensor, head: frozenset[str]) -> bool:
        """All that was put in, and the head."""
        ours = prefix.is_prefix(name) or adapter.is_adapter(name) or name.endswith(lora.TRAINED)
        return ours or ".gate." in name or f".{GATE}." in plain(name) or name in head

    def peft_name(self, name: str) -> str:
        """Without the wrappers."""
        return plain(name)

    def saved_state(
        self, model: nn.Module, head: frozenset[str], trained: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Prefixes as they reach the layers, and everything else."""
        rest = {name: weight for name, weight in trained.items() if not prefix.is_prefix(name)}
        return prefix.saved_banks(model, trained) | super().saved_state(model, head, rest)

    def fill(
        self,
        model: nn.Module,
        head: frozenset[str],
        trained: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
    ) -> None:
        """The way back."""
        left = prefix.settle_banks(model, trained, state)
        rest = {name: weight for name, weight in trained.items() if not prefix.is_prefix(name)}
        fill_weights(super().saved_state(model, head, rest), left)


@register("method", "mam")
@dataclass(frozen=True)
class Mam(_Union):
    """Mix-and-match: where He et al. found each part to do most, a prefix in attention, an adapter at the MLP."""

    num_virtual_tokens: Annotated[int, Field(ge=1)] = 10
    """Length of the prefix; it takes no positions."""
    encoder_hidden_size: Annotated[int, Field(ge=1)] = 512
    """Width of the MLP that makes the prefix while training."""
    reduction_factor: Annotated[float, Field(ge=1)] = 4.0
    """The adapter's width is the model's divided by this."""
    non_linearity: Literal["relu", "gelu", "swish", "tanh"] = "relu"
    """Inside the adapter."""
    scaling: Annotated[float, Field(gt=0)] | Literal["learned"] = 4.0
    """What comes out of the adapter is multiplied by this."""

    summary: ClassVar[str] = "a prefix in attention, an adapter beside the feed-forward, and the head"
    source: ClassVar[str] = "He et al. 2022, arXiv 2110.04366"
    learning_rate: ClassVar[float] = 5e-4
    space: ClassVar[Mapping[str, Any]] = {"reduction_factor": [2, 4, 8, 16]}

    def attach(self, model: nn.Module, head: frozenset[str], tokenize: Tokenize) -> nn.Module:
        """Put both in.

        Raises:
            WeitiaoError: what prefix and adapter raise.
        """
        beside = adapter.Adapter(
            placement="parallel",
            reduction_factor=self.reduction_factor,
            non_linearity=self.non_linearity,
            scaling=self.scaling,
        )
        adapter.put_in(model, beside, gated=False)
        prefix.put_in(model, count=self.num_virtual_tokens, hidden=self.encoder_hidden_size, shifts=False)
        return model


@register("method", "unipelt")
@dataclass(frozen=True)
class UniPelt(_Union):
    """LoRA, prefix and adapter together, and gates that learn which of them helps: steady on little data."""

    num_virtual_tokens: Annotated[int, Field(ge=1)] = 10
    """Length of the prefix; it takes no positions."""
    encoder_hidden_size: Annotated[int, Field(ge=1)] = 512
    """Width of the MLP that makes the prefix while training."""
    reduction_factor: Annotated[float, Field(ge=1)] = 16.0
    """The adapter's width is the model's divided by this."""
    non_linearity: Literal["relu", "gelu", "swish", "tanh"] = "relu"
    """Inside the adapter."""
    r: Annotated[int, Field(ge=1)] = 8
    """Rank of LoRA; its gate takes the place of `lora_alpha / r`."""

    alone: ClassVar[bool] = True
    summary: ClassVar[str] = "LoRA, prefix and adapter behind gates, and the head"
    source: ClassVar[str] = "Mao et al. 2022, arXiv 2110.07577"
    learning_rate: ClassVar[float] = 5e-4
    space: ClassVar[Mapping[str, Any]] = {"reduction_factor": [2, 4, 8, 16]}

    def attach(self, model: nn.Module, head: frozenset[str], tokenize: Tokenize) -> nn.Module:
        """Put all three in, and a gate for each in every block.

        Raises:
            WeitiaoError: what lora, prefix and adapter raise; `unknown_anatomy` when queries and values have no
                layers of their own.
        """
        rows = watch_rows(model)
        found = anatomy.blocks(model)
        for block in found:
            for place in block.attentions:
                for kind in (anatomy.QUERY, anatomy.VALUE):
                    if (name := place.projection(kind)) is None:
                        raise fault("unknown_anatomy", what=reason("queries_and_values", name=place.name))
                    self._add_lora(model, name, rows=None if block.causal else rows)
        behind = adapter.Adapter(
            placement="pfeiffer", reduction_factor=self.reduction_factor, non_linearity=self.non_linearity
        )
        adapter.put_in(model, behind, gated=True)
        prefix.put_in(model, count=self.num_virtual_tokens, hidden=self.encoder_hidden_size, shifts=False)
        for block in found:
            for place in block.attentions:
                query = place.projection(anatomy.QUERY) or ""
                width, _ = linear.sizes(model.get_submodule(query))
                gate = PrefixGate(width, rows=None if block.causal else rows)
                hang(place.module, GATE, gate.to(next(block.module.parameters()).device))
                place.module.register_forward_pre_hook(_weigh_prefix, with_kwargs=True)
        return model

    def _add_lora(self, model: nn.Module, name: str, *, rows: Rows | None) -> None:
        base = model.get_submodule(name)
        refuse_large_rank({name: base}, self.r, key="r")
        gate = Gate(linear.sizes(base)[0], rows=rows).to(linear.device(base))
        put(model, name, lora.LoraLinear(base, r=self.r, scaling=1.0, gate=gate))


class PrefixGate(Inserted, Gate):
    """The gate of the prefix in one attention module."""


def _weigh_prefix(module: nn.Module, args: Any, words: dict[str, Any]) -> None:
    hidden_BTD, slot = args[0] if args else words["hidden_states"], getattr(module, attention.SLOT)
    gates = [child for child in module.children() if isinstance(child, PrefixGate) and child.enabled]
    slot.gate = gates[0](hidden_BTD) if gates else None
