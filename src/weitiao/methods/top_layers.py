"""Top-layer tuning: the last blocks and the head train, what lies below stays as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from weitiao.core.contracts import Method, Tokenize
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import because
from weitiao.models import anatomy

if TYPE_CHECKING:
    from torch import Tensor, nn


@register("method", "top_layers")
@dataclass(frozen=True)
class TopLayers(Method):
    """Only the top of the body learns: little memory and time, since no gradient goes below the lowest of them."""

    n: Annotated[int, Field(ge=1)] | Literal["all"] = 2
    """Blocks that train, counted from the top; `all` takes the embeddings too, and leaves the choice to `freeze`."""
    freeze: list[str] = field(default_factory=list)
    """Regular expressions, searched for in parameters' names: what matches stays frozen all the same."""

    summary: ClassVar[str] = "the last n blocks and the head"
    source: ClassVar[str] = "Yosinski et al. 2014, arXiv 1411.1792"
    foldable: ClassVar[bool] = True
    starts_as_base: ClassVar[bool] = True
    layout: ClassVar[Literal["pretrained", "peft", "adapter"]] = "pretrained"
    learning_rate: ClassVar[float] = 2e-4
    space: ClassVar[Mapping[str, Any]] = {"n": {"low": 1, "high": 4}}

    def attach(self, model: nn.Module, head: frozenset[str], tokenize: Tokenize) -> nn.Module:
        """Nothing is put in; which parameters train is read off the model once."""
        depth = len(anatomy.blocks(model))
        if self.n != "all" and self.n > depth:
            raise fault("unfit_setting", key="n", value=self.n, **because("has_blocks", depth=depth))
        levels = anatomy.levels(model, head)
        for pattern in self.freeze:
            if not any(_found(pattern, name) for name in levels):
                near = ", ".join(list(levels)[:3])
                none = because("no_name_holds_it", names=near)
                raise fault("unfit_setting", key="freeze", value=pattern, **none)
        lowest = depth + 1 if self.n == "all" else self.n
        chosen = {name for name, level in levels.items() if level <= lowest and not self._frozen(name)}
        if not chosen:
            raise fault("unfit_setting", key="freeze", value=self.freeze, **because("all_frozen"))
        for name, weight in model.named_parameters():
            weight.requires_grad_(name in chosen)
        return model

    def trains(self, name: str, weight: Tensor, head: frozenset[str]) -> bool:
        """What `attach` chose."""
        return weight.requires_grad

    def _frozen(self, name: str) -> bool:
        return any(_found(pattern, name) for pattern in self.freeze)


def _found(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error as error:
        broken = because("bad_expression", error=error)
        raise fault("unfit_setting", key="freeze", value=pattern, **broken) from None
