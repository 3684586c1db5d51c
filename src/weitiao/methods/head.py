"""Head-only tuning (linear probe): the pretrained body stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from weitiao.core.contracts import Method, Task
from weitiao.core.registry import register

if TYPE_CHECKING:
    from torch import Tensor


@register("method", "head")
@dataclass(frozen=True)
class Head(Method):
    """Only the task's new output layer trains: cheap, and a fair measure of what the body knows already."""

    summary: ClassVar[str] = "the task head only (linear probe)"
    source: ClassVar[str] = "-"
    foldable: ClassVar[bool] = True
    starts_as_base: ClassVar[bool] = True
    layout: ClassVar[Literal["pretrained", "peft", "adapter"]] = "pretrained"
    learning_rate: ClassVar[float] = 1e-2

    def trains(self, name: str, weight: Tensor, head: frozenset[str]) -> bool:
        """The head's parameters."""
        return name in head

    def refuses(self, task: Task) -> str:
        """Tasks that read the pretrained output layer, or none, have no new head."""
        return task.headless
