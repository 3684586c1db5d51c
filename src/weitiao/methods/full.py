"""Full fine-tuning: every parameter trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from weitiao.core.contracts import Method
from weitiao.core.registry import register

if TYPE_CHECKING:
    from torch import Tensor


@register("method", "full")
@dataclass(frozen=True)
class Full(Method):
    """Everything trains: the most capable and the most costly; wants small learning rates."""

    summary: ClassVar[str] = "every parameter trains"
    source: ClassVar[str] = "-"
    foldable: ClassVar[bool] = True
    starts_as_base: ClassVar[bool] = True
    layout: ClassVar[Literal["pretrained", "peft", "adapter"]] = "pretrained"
    learning_rate: ClassVar[float] = 5e-5

    def trains(self, name: str, weight: Tensor, head: frozenset[str]) -> bool:
        """All of them."""
        return True
