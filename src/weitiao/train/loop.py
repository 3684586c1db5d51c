"""The loop.  It knows neither methods nor tasks by name.

    method.before_step -> [look -> loss -> backward] x accumulation -> clip -> AdamW -> method.after_step -> watchers

The loss of a step is the sum over everything trained in all of its micro-batches, divided by their count: k small
batches give the gradient of one big one, whatever their lengths.  Dropout is seeded from (seed, step, micro-batch),
so a resumed run draws the same masks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from weitiao.core.contracts import Batch, Method, Moment, Task
from weitiao.core.errors import fault
from weitiao.core.recipe import Train
from weitiao.data.pack import Batches
from weitiao.train import optim


@dataclass
class State:
    """Where a run stands: all that a checkpoint keeps beside weights and moments."""

    step: int = 0
    """Optimiser steps taken."""
    best: float | None = None
    """Best value of the deciding metric so far."""
    best_step: int = 0
    """The step that gave it."""
    stale: int = 0
    """Evaluations since then."""
    plateau: dict[str, float] = field(default_factory=dict)
    """What the schedule has heard from the validation rows, if it listens (`reduce_lr_on_plateau`)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `state.json`."""
        return asdict(self)


@dataclass
class Training:
    """A run in motion, as watchers see it."""

    model: nn.Module
    method: Method
    task: Task
    batches: Batches
    settings: Train
    optimizer: torch.optim.Optimizer
    weights: Mapping[str, nn.Parameter]
    """Name -> parameter of all that trains; some of it may rest for a while (gradual unfreezing)."""
    state: State = field(default_factory=State)
    device: str = "cpu"
    bf16: bool = False
    seed: int = 0
    snapshot: Mapping[str, Tensor] = field(default_factory=dict)
    """Base weights that `method.off` swaps in; empty unless the task looks at the base."""
    places: Callable[[Sequence[int]], str] = lambda rows: ", ".join(map(str, rows))
    """Names rows of the training split, for errors."""
    stop: str = ""
    """A watcher's reason to end after this step."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the last step did: loss, rate, gradient norm, tokens, padding, seconds."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What the validation rows said at this step; empty when they were not asked."""

    @property
    def total(self) -> int:
        """Optimiser steps of the whole run."""
        steps = math.ceil(self.settings.num_train_epochs * self.batches.steps_per_epoch)
        return min(steps, self.settings.max_steps or steps)

    @cached_property
    def schedule(self) -> optim.Schedule:
        """How the learning rate goes."""
        return optim.schedule(self.settings)

    @property
    def epoch(self) -> float:
        """Passes over the rows so far."""
        return self.state.step / self.batches.steps_per_epoch


class Watcher:
    """Something that looks on and may speak: every hook does nothing unless a watcher wants it."""

    def around(self, training: Training) -> AbstractContextManager[Any] | None:
        """A context held while the loop runs."""
        return None

    def on_step(self, training: Training) -> None:
        """After an optimiser step; `training.stop` ends the loop."""

    def on_end(self, training: Training) -> None:
        """After the last step."""


def fit(training: Training, watchers: Iterable[Watcher]) -> None:
    """Train from `training.state.step` to the end, or to the step after which a watcher says stop.

    Raises:
        WeitiaoError: `not_finite` before an optimiser step that a bad loss or gradient would spoil.
    """
    watchers = list(watchers)
    with ExitStack() as held:
        held.enter_context(torch.random.fork_rng(enabled=True))
        for watcher in watchers:
            if context := watcher.around(training):
                held.enter_context(context)
        training.model.train()
        while training.state.step < training.total and not training.stop:
            step(training)
            for watcher in watchers:
                watcher.on_step(training)
        for watcher in watchers:
            watcher.on_end(training)


def calibrate(training: Training) -> None:
    """Let the method look at the data before the first step: each pass sends one training batch through the model."""

    def passes() -> Iterator[None]:
        for number in range(training.batches.steps_per_epoch):
            for batch in training.batches.step(number):
                with torch.autocast(training.device.partition(":")[0], torch.bfloat16, enabled=training.bf16):
                    training.task.predict(training.model, batch.to(training.device))
                yield

    training.model.eval()
    with torch.no_grad():
        training.method.calibrate(training.model, passes())


def step(training: Training) -> None:
    """One optimiser step over its micro-batches."""
    model, method, task, state = training.model, training.method, training.task, training.state
    started = time.perf_counter()
    rate = training.schedule.apply(training.optimizer, state.step, total=training.total, memory=state.plateau)
    moment = Moment(state.step, training.total, 1 / training.batches.steps_per_epoch)
    method.before_step(model, moment)
    batches = training.batches.step(state.step)
    trained = sum(batch.trained for batch in batches)
    loss = 0.0
    for micro, batch in enumerate(batches):
        torch.manual_seed(_seed(training.seed, state.step, micro))
        with torch.autocast(training.device.partition(":")[0], torch.bfloat16, enabled=training.bf16):
            batch = batch.to(training.device)
            with torch.no_grad():
                batch = task.look(model, batch, lambda: method.off(model, training.snapshot))
            mean = task.loss(model, batch) / trained + method.penalty(model) * (batch.trained / trained)
        mean.backward()
        loss += mean.item()
    norm = _clip(training)
    _refuse_nonfinite(training, batches, loss=loss, norm=norm)
    training.optimizer.step()
    method.after_step(model, moment)
    training.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    tokens, padding = sum(batch.tokens for batch in batches), sum(batch.padding for batch in batches)
    training.metrics = {}
    training.facts = {
        "loss": loss,
        "learning_rate": rate,
        "grad_norm": norm,
        "rows": sum(len(batch.rows) for batch in batches),
        "tokens": tokens,
        "trained": trained,
        "padding": padding / (tokens + padding),
        "seconds": time.perf_counter() - started,
    }


def _seed(seed: int, step: int, micro: int) -> int:
    # Odd multipliers keep (seed, step, micro) apart; torch takes 64 bits.
    return (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + micro * 0x94D049BB133111EB) % 2**63


def _clip(training: Training) -> float:
    weights = [weight for weight in training.weights.values() if weight.grad is not None]
    limit = training.settings.max_grad_norm or math.inf
    return nn.utils.clip_grad_norm_(weights, limit).item()


def _refuse_nonfinite(training: Training, batches: Sequence[Batch], *, loss: float, norm: float) -> None:
    if math.isfinite(loss) and math.isfinite(norm):
        return
    rows = [row for batch in batches for row in batch.rows]
    weights = dict(training.model.named_parameters())
    bad = next((f"weight: {n}" for n, w in weights.items() if not w.isfinite().all()), "")
    bad = bad or next(
        (f"gradient: {n}" for n, w in weights.items() if w.grad is not None and not w.grad.isfinite().all()),
        "",
    )
    raise fault(
        "not_finite",
        step=training.state.step + 1,
        what="the gradient" if math.isfinite(loss) else f"the loss ({loss})",
        rows=training.places(rows),
        tensor=f" First bad {bad}." if bad else "",
    )
