"""The passes of a model as they are made: what it is called with, what it says; and a stand-in that says it again.

with torch.inference_mode(): task.predict(hearing(model, passes), batch)   ->  passes: [Pass({"input_ids": ...}, {"logits": ...})]
task.predict(replaying(model, passes), batch)                              ->  the same predictions, of what somebody else said

A task asks its model in its own way (in parts, in windows): so whatever a form says of the same inputs becomes predictions by
the task's own code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import nn

SAID = ("logits", "start_logits", "end_logits", "last_hidden_state", "pred_boxes")
"""Outputs that tasks read, of the many that Transformers' models have."""


@dataclass(frozen=True)
class Pass:
    """One call of a model."""

    inputs: Mapping[str, np.ndarray]
    said: Mapping[str, np.ndarray]
    kind: Any
    """Of the output, as Transformers has it."""

    @property
    def numbers(self) -> int:
        """How many it was given and said."""
        return sum(each.size for each in (*self.inputs.values(), *self.said.values()))


def hearing(model: Any, passes: list[Pass]) -> nn.Module:
    """The model; every pass is put behind `passes`."""
    import torch

    def call(**words: Any) -> Any:
        found = model(**words)
        inputs = {name: each.cpu().numpy() for name, each in words.items() if torch.is_tensor(each)}
        said = {name: found[name].float().cpu().numpy() for name in SAID if found.get(name) is not None}
        passes.append(Pass(inputs, said, type(found)))
        return found

    return _in_place_of(model, call)


def replaying(model: Any, passes: list[Pass]) -> nn.Module:
    """What says `passes` one after the other, whatever it is asked."""
    import torch

    left = iter(passes)

    def call(**words: Any) -> Any:
        one = next(left)
        return one.kind(**{name: torch.from_numpy(each) for name, each in one.said.items()})

    return _in_place_of(model, call)


def _in_place_of(model: Any, call: Callable[..., Any]) -> nn.Module:
    """Something that is called like the model: tasks look which arguments its `forward` knows, and at its configuration."""
    from torch import nn

    @functools.wraps(type(model).forward)
    def forward(self: nn.Module, **words: Any) -> Any:
        return call(**words)

    made: nn.Module = type("InPlace", (nn.Module,), {"forward": forward, "config": model.config})()
    return made
