"""Gradual unfreezing: the head learns first, then block after block from the top (Howard & Ruder 2018).

level 0 the head, 1 the top block, ... n the lowest, n + 1 the embeddings;  rate(level) = rate * decay^level
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from weitiao.core.contracts import Method, Moment, Tokenize
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.models import anatomy

if TYPE_CHECKING:
    from torch import Tensor, nn

LEVELS = "unfreezing"  # an attribute of the model: parameter -> level
REACHED = "unfrozen_level"  # a buffer of the model: the level down to which it trains


@register("method", "gradual")
@dataclass(frozen=True)
class Gradual(Method):
    """Everything trains in the end, the top longest and fastest: made against forgetting on small data."""

    unfreeze: Literal["even", "epochs", "steps", "plateau"] = "even"
    """When the next block joins: evenly until `until` of the training, every so many epochs or steps (`every`), or
    whenever the validation rows see no gain."""
    until: Annotated[float, Field(gt=0, le=1)] = 0.5
    """With `even`: the share of the training after which everything trains."""
    every: Annotated[float, Field(gt=0)] = 1
    """With `epochs` and `steps`: how many of them lie between two blocks."""
    layerwise_lr_decay: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Each level's learning rate is this times that of the level above (ULMFiT's 1 / 2.6 was for three layers)."""

    summary: ClassVar[str] = "head, then block after block from the top"
    source: ClassVar[str] = "Howard & Ruder 2018, arXiv 1801.06146"
    foldable: ClassVar[bool] = True
    starts_as_base: ClassVar[bool] = True
    layout: ClassVar[Literal["pretrained", "peft", "adapter"]] = "pretrained"
    learning_rate: ClassVar[float] = 2e-4
    space: ClassVar[Mapping[str, Any]] = {"until": {"low": 0.25, "high": 0.75}}

    def attach(self, model: nn.Module, head: frozenset[str], tokenize: Tokenize) -> nn.Module:
        """Nothing is put in but a counter of the levels that train."""
        import torch

        anatomy.blocks(model)  # a family that is not known is told here
        first = 0 if head else 1
        model.register_buffer(REACHED, torch.tensor(first, dtype=torch.int64, device="cpu"), persistent=False)
        # The levels go by the names that are new; later calls know the model alone.
        vars(model)[LEVELS] = anatomy.levels(model, head)
        return model

    def trains(self, name: str, weight: Tensor, head: frozenset[str]) -> bool:
        """All of it, sooner or later."""
        return True

    @property
    def listens(self) -> bool:
        """With `plateau` it is the validation rows that say when a block joins."""
        return self.unfreeze == "plateau"

    def rates(self, model: nn.Module, head: frozenset[str]) -> dict[str, float]:
        """Discriminative learning rates."""
        return {name: self.layerwise_lr_decay**level for name, level in _levels(model).items()}

    def before_step(self, model: nn.Module, moment: Moment) -> None:
        """Unfreeze what is due.

        Raises:
            WeitiaoError: `wrong_value` before the first step, when no block would ever be due.
        """
        levels = _levels(model)
        ahead = moment.total * (1 if self.unfreeze == "steps" else moment.epochs_a_step)
        if moment.step == 0 and self.unfreeze in ("steps", "epochs") and self.every >= ahead:
            why = reason("no_block_joins", count=f"{ahead:g}", unit=self.unfreeze)
            raise fault("wrong_value", key="method.every", value=self.every, why=why)
        first, last = (0 if 0 in levels.values() else 1), max(levels.values())
        reached = getattr(model, REACHED)
        if self.unfreeze == "even":
            due = first + int((last - first) * min(1.0, moment.progress / self.until) + 1e-9)
            reached.fill_(due)
        elif self.unfreeze != "plateau":
            done = moment.epoch if self.unfreeze == "epochs" else moment.step
            reached.fill_(min(last, first + int(done / self.every + 1e-9)))
        level = int(reached)
        for name, weight in model.named_parameters():
            weight.requires_grad_(levels[name] <= level)

    def after_evaluation(self, model: nn.Module, *, gain: bool) -> None:
        """With `plateau`: one level more when nothing was gained."""
        if self.unfreeze == "plateau" and not gain:
            reached = getattr(model, REACHED)
            reached.fill_(min(int(reached) + 1, max(_levels(model).values())))

    def state(self, model: nn.Module) -> dict[str, Tensor]:
        """How far down it has come."""
        return {REACHED: getattr(model, REACHED)}


def _levels(model: nn.Module) -> dict[str, int]:
    levels: dict[str, int] = vars(model)[LEVELS]
    return levels
