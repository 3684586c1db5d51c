"""How a model is tuned: the contract of every method, and of the modules that it puts in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from weitiao.core.why import reason

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weitiao.core.contracts.task import Task

Tokenize: TypeAlias = Callable[[str], list[int]]
OURS = "WEITIAO"  # `peft_type` of adapters that PEFT does not know, and cannot be taught from outside


class Inserted:
    """Marks a module that a method put into a model, beside `nn.Module`: it can be turned off."""

    enabled: bool = True
    """Off, the model computes as if the module were not there."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Where in the training a step stands."""

    step: int
    """Optimiser steps taken before this one."""
    total: int
    """Optimiser steps of the whole run."""
    epochs_a_step: float = 0.0
    """What part of a pass over the rows a step is."""

    @property
    def epoch(self) -> float:
        """Passes over the rows before this step."""
        return self.step * self.epochs_a_step

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return self.step / self.total


def fill_weights(weights: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Copy a saved state into weights of the same names and shapes.

    Raises:
        KeyError: with the name, when one is missing, left over, or of another shape.
    """
    if odd := sorted(set(state) ^ set(weights)):
        raise KeyError(odd[0])
    for name, weight in weights.items():
        if weight.shape != state[name].shape:
            raise KeyError(f"{name} of shape {tuple(state[name].shape)}, not {tuple(weight.shape)}")
    for name, weight in weights.items():
        weight.data.copy_(state[name])


class Method(ABC):
    """How a model is tuned.  Final subclasses are frozen dataclasses; their fields are their settings.

    A parameter of a module that the method put in is trained because `trains` says so, like any other: `trains`
    is asked about every parameter of the model after `attach`.  What a method must remember between two steps lies
    in the model (buffers that `state` names), never in the method: a method is a value.
    """

    summary: ClassVar[str]
    """One line for `weitiao methods`."""
    source: ClassVar[str]
    """The paper."""
    foldable: ClassVar[bool]
    """Can the change be folded into the base weights without changing the output?"""
    starts_as_base: ClassVar[bool]
    """Before the first step, is the output the base model's?"""
    layout: ClassVar[Literal["pretrained", "peft", "adapter"]]
    """How the tuned model is saved: the whole of it, PEFT's adapter files beside a base, or ours in the same form."""
    learning_rate: ClassVar[float]
    """The peak learning rate when the recipe gives none."""
    space: ClassVar[Mapping[str, Any]] = {}
    """Settings that `weitiao search` tries where nobody says, each with its values: `{"r": {"low": 4, "high": 64}}`."""
    base_bits: ClassVar[int] = 16
    """4: the base is loaded in 4-bit NF4 (QLoRA)."""
    alone: ClassVar[bool] = False
    """Can its modules not work at the same time as another adapter's on one base?"""

    @property
    def positions(self) -> int:
        """How many of the model's positions the method takes from every row (prompts, prefixes)."""
        return 0

    @abstractmethod
    def trains(self, name: str, weight: Tensor, head: frozenset[str]) -> bool:
        """Does this parameter train?  `head` holds the names of the task's new output layer, which has no base."""

    def refuses(self, task: Task) -> str:
        """Why this method makes no sense with `task`; empty when it does."""
        return reason("no_four_bits") if self.base_bits == 4 and task.library else ""

    def notices(self, model: nn.Module, head: frozenset[str]) -> list[str]:
        """What a user should know of how the method lies in this model, in their language; asked before `attach`."""
        return []

    def attach(self, model: nn.Module, head: frozenset[str], tokenize: Tokenize) -> nn.Module:
        """Put new modules in; the base weights stay as they are.

        Also asked of a model without weights (on the `meta` device), to find settings that do not fit the model
        before anything is loaded.

        Args:
            model: the base with the task's head.
            head: names of that head's parameters.
            tokenize: gives the ids of a text, for prompts that begin as one.

        Raises:
            WeitiaoError: when the settings do not fit the model, with the way out.
        """
        return model

    def calibrate(self, model: nn.Module, passes: Iterator[None]) -> None:
        """Once, before the first step of a new run: look at the data (EVA).

        Args:
            model: with its modules attached, in evaluation mode, no gradients.
            passes: each `next` sends one training batch through the model.
        """
        return

    @property
    def listens(self) -> bool:
        """Does the training go by `after_evaluation`, so that without validation rows nothing would happen?"""
        return False

    def rates(self, model: nn.Module, head: frozenset[str]) -> dict[str, float]:
        """Name of a trained parameter -> factor on its learning rate; names left out have 1."""
        return {}

    def before_step(self, model: nn.Module, moment: Moment) -> None:
        """Before the forward pass of every optimiser step (gradual unfreezing)."""
        return

    def after_step(self, model: nn.Module, moment: Moment) -> None:
        """After every optimiser step that was taken, the gradients still in place (AdaLoRA's budget); a step whose loss
        or gradient was not finite is none, so the one that was waited for may never come."""
        return

    def hold(self, model: nn.Module, average: Mapping[str, Tensor]) -> None:
        """What must hold of the trained weights, put into an average of them (AdaLoRA: what was dropped is 0)."""
        return

    def after_evaluation(self, model: nn.Module, *, gain: bool) -> None:
        """After the validation rows have been asked; `gain`: they did better than ever before."""
        return

    def state(self, model: nn.Module) -> dict[str, Tensor]:
        """Tensors besides trained weights on which the next step depends; kept in checkpoints and filled in place."""
        return {}

    def penalty(self, model: nn.Module) -> Tensor | float:
        """Added to the mean loss of a step (AdaLoRA's orthogonality)."""
        return 0.0

    def fold(self, model: nn.Module) -> nn.Module:
        """Undo `attach`, keep the effect: plain base modules again.  Only when `foldable`."""
        return model

    def switch(self, model: nn.Module, *, on: bool) -> None:
        """Turn the modules that `attach` put in on or off."""
        for module in model.modules():
            if isinstance(module, Inserted):
                module.enabled = on

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        """Copies of the base weights that are going to train: what `off` needs to give the base back."""
        return {
            name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad
        }

    @contextmanager
    def off(self, model: nn.Module, snapshot: Mapping[str, Tensor]) -> Iterator[None]:
        """The model as it was before training (the reference of DPO); swaps weights in place and back."""
        weights = dict(model.named_parameters())
        tuned = {name: weights[name].data for name in snapshot}
        self.switch(model, on=False)
        for name, before in snapshot.items():
            weights[name].data = before
        try:
            yield
        finally:
            for name, after in tuned.items():
                weights[name].data = after
            self.switch(model, on=True)

    def saved_config(self, model: nn.Module, head: frozenset[str]) -> dict[str, Any]:
        """PEFT's `adapter_config.json`, less the base and task; what PEFT does not know is marked as ours."""
        return {"peft_type": OURS}

    def saved_state(
        self, model: nn.Module, head: frozenset[str], trained: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """What `adapter_model.safetensors` holds, by PEFT's names.

        Args:
            model: the tuned model.
            head: names of the task's new output layer.
            trained: all that trains, by name.
        """
        return {f"base_model.model.{self.peft_name(name)}": weight for name, weight in trained.items()}

    def fill(
        self,
        model: nn.Module,
        head: frozenset[str],
        trained: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
    ) -> None:
        """The way back: put a saved state into the modules that `attach` has made.

        Raises:
            KeyError: with the name, when one is missing or left over.
        """
        fill_weights(self.saved_state(model, head, trained), state)

    def peft_name(self, name: str) -> str:
        """PEFT's name of the trained parameter `name`, less its `base_model.model.` prefix."""
        return name
