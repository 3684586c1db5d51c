"""An average of the trained weights over the steps, which is validated and kept in place of the last ones.

    average = decay_n * average + (1 - decay_n) * weights          after optimiser step n = 1, 2, ...
    decay_n = min(decay, (1 + n) / (10 + n))

It begins as the weights before the first step.  The smaller decay of the first steps is TensorFlow's
(`ExponentialMovingAverage(num_updates=n)`; timm and diffusers have it as a warm-up): without it, what the model was
before training would still be most of the average at the end of a short run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from weitiao.train.loop import Average, Training
from weitiao.train.parallel import Parallel


class Ema(Average):
    """The average, kept up to date; asked before those that validate and save."""

    def __init__(self, weights: Mapping[str, nn.Parameter], decay: float):
        self.decay = decay
        self.weights = weights
        self.average: dict[str, Tensor] = {
            name: torch.zeros_like(weight.detach()) for name, weight in weights.items()
        }

    def around(self, training: Training) -> None:
        """A new run begins with the weights as they are by now (a method may have set them by the data)."""
        if training.state.step == 0:
            for name, weight in self.weights.items():
                self.average[name].copy_(weight.detach())

    def on_step(self, training: Training) -> None:
        """One step more in the average."""
        n = training.state.step
        decay = min(self.decay, (1 + n) / (10 + n))
        now = [weight.detach() for weight in self.weights.values()]
        torch._foreach_lerp_(list(self.average.values()), now, 1 - decay)
        training.method.hold(training.model, self.average)

    @contextmanager
    def in_use(self, objective: Parallel) -> Iterator[None]:
        """Swapped before and after."""
        self._swap()
        objective.changed()
        try:
            yield
        finally:
            self._swap()
            objective.changed()

    def keep(self) -> None:
        """Copied over."""
        for name, weight in self.weights.items():
            weight.data.copy_(self.average[name])

    def _swap(self) -> None:
        # By copying: where the weights are dealt to several processes, others know them by their memory.
        for name, weight in self.weights.items():
            own = weight.detach().clone()
            weight.data.copy_(self.average[name])
            self.average[name].copy_(own)
