"""The loop.  It knows neither methods nor tasks by name.

    method.before_step -> [loss -> backward] x accumulation -> clip -> optimizer -> method.after_step -> watchers

The loss of a step is the sum over everything trained in all of its micro-batches, divided by their count: k small
batches give the gradient of one big one, whatever their lengths.  Dropout is seeded from (seed, step, micro-batch),
so a resumed run draws the same masks.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from weitiao.core.contracts import Batch, Method, Moment, Task
from weitiao.core.errors import fault
from weitiao.core.recipe import Train
from weitiao.data.pack import Batches, Steps
from weitiao.models.batch_norms import Following
from weitiao.models.memory_ran_out import give_back, ran_out
from weitiao.models.precision import Half, autocast
from weitiao.train import energy, memory, optim
from weitiao.train.distributed import World
from weitiao.train.objective import summed
from weitiao.train.parallel import Alone, Objective, Parallel
from weitiao.train.state import State


@dataclass
class Training:
    """A run in motion, as watchers see it."""

    model: nn.Module
    method: Method
    task: Task
    batches: Steps
    settings: Train
    optimizer: torch.optim.Optimizer
    weights: Mapping[str, nn.Parameter]
    """Name -> parameter of all that trains; some of it may rest for a while (gradual unfreezing)."""
    state: State = field(default_factory=State)
    device: str = "cpu"
    half: Half | None = None
    """What products are computed in, where it is not float32."""
    seed: int = 0
    snapshot: Mapping[str, Tensor] = field(default_factory=dict)
    """Base weights that `method.off` swaps in; empty unless the task asks the base on its way."""
    places: Callable[[Sequence[int]], str] = lambda rows: ", ".join(map(str, rows))
    """Names rows of the training split, for errors."""
    room: memory.Room = field(default_factory=memory.Room)
    """Gives back what other batches left behind."""
    stop: str = ""
    """A watcher's reason to end after this step."""
    norms: Following | None = None
    """Statistics of a base that nobody has trained, which follow the rows."""
    ema: Average | None = None
    """The average of the weights, where one is kept."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the last step did: loss, rate, gradient norm, tokens, padding, seconds, memory."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What the validation rows said at this step; empty when they were not asked."""
    world: World = field(default_factory=World)
    """The processes that share the run."""
    objective: Parallel = None  # type: ignore[assignment]  # `__post_init__` puts it in
    """How this process asks for losses; default: alone."""
    scaler: torch.amp.GradScaler = field(init=False)
    """Keeps small gradients from vanishing in float16; otherwise it does nothing."""

    def __post_init__(self) -> None:
        if self.objective is None:
            loss = summed(self.task, self.settings)
            self.objective = Alone(Objective(self.model, self.method, self.task, loss), self.world)
        kind = self.device.partition(":")[0]
        self.scaler = torch.amp.GradScaler(kind, enabled=self.half == "float16")

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

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `state.json`."""
        return {**asdict(self.state), "scaler": self.scaler.state_dict()}

    def from_dict(self, values: Mapping[str, Any]) -> None:
        """What `to_dict` gave."""
        for name in asdict(self.state):
            setattr(self.state, name, values[name])
        self.scaler.load_state_dict(dict(values["scaler"]))


class Watcher:
    """Something that looks on and may speak: every hook does nothing unless a watcher wants it."""

    def around(self, training: Training) -> AbstractContextManager[Any] | None:
        """A context held while the loop runs."""
        return None

    def on_start(self, training: Training) -> None:
        """Before the first step that this process takes; `training.state.step` says how many were taken before."""

    def on_gradients(self, training: Training) -> None:
        """Between the last backward pass of a step and clipping."""

    def on_step(self, training: Training) -> None:
        """After an optimiser step; `training.stop` ends the loop."""

    def on_end(self, training: Training) -> None:
        """After the last step."""


class Average(Watcher, ABC):
    """An average of the weights, which is validated and kept in place of the last ones (`train.ema`)."""

    average: dict[str, Tensor]
    """Name of a weight -> its average so far."""

    @abstractmethod
    def in_use(self, objective: Parallel) -> AbstractContextManager[None]:
        """The model computes with the average; afterwards with its own weights again, bit for bit.

        Args:
            objective: what computes.
        """

    @abstractmethod
    def keep(self) -> None:
        """The average becomes the model's weights, for good."""


def fit(training: Training, watchers: Iterable[Watcher]) -> None:
    """Train from `training.state.step` to the end, or to the step after which a watcher says stop.

    Raises:
        WeitiaoError: `not_finite` before an optimiser step that a bad loss or gradient would spoil; `spoilt_weights`
            after one whose rate was beyond all measure; `out_of_memory` when not even single rows fit.
    """
    watchers = list(watchers)
    with ExitStack() as held:
        held.enter_context(torch.random.fork_rng(enabled=True))
        if training.norms:
            held.enter_context(training.norms.hears())
        for watcher in watchers:
            if context := watcher.around(training):
                held.enter_context(context)
        training.model.train()
        for watcher in watchers:
            watcher.on_start(training)
        while training.state.step < training.total and not training.stop:
            step(training, watchers)
            for watcher in watchers:
                watcher.on_step(training)
            training.stop = training.world.agree(training.stop)
        refuse_spoilt(training)
        for watcher in watchers:
            watcher.on_end(training)


def refuse_spoilt(training: Training) -> None:
    """What a step did to the weights is met by the loss of the next one: here, before they are written.

    Raises:
        WeitiaoError: `spoilt_weights`.
    """
    for name, weight in training.weights.items():
        if not weight.isfinite().all():
            raise fault("spoilt_weights", step=training.state.step, name=name)


def calibrate(
    model: nn.Module, method: Method, task: Task, batches: Batches, *, device: str, half: Half | None
) -> None:
    """Let the method look at the data before the first step: each pass sends one training batch through the model."""

    def passes() -> Iterator[None]:
        all_of_it = replace(batches, dealt=(0, 1))  # every process sees the same
        for number in range(all_of_it.steps_per_epoch):
            for batch in all_of_it.step(number):
                with autocast(device, half):
                    task.predict(model, batch.to(device))
                yield

    model.eval()
    with torch.no_grad():
        method.calibrate(model, passes())


def step(training: Training, watchers: Sequence[Watcher] = ()) -> None:
    """One optimiser step over its micro-batches."""
    model, method, state, scaler = training.model, training.method, training.state, training.scaler
    started, before = time.perf_counter(), energy.counters()
    rate = training.schedule.apply(training.optimizer, state.step, total=training.total, memory=state.plateau)
    moment = Moment(state.step, training.total, 1 / training.batches.steps_per_epoch)
    method.before_step(model, moment)
    batches, loss = _gradients(training)
    scaler.unscale_(training.optimizer)
    for watcher in watchers:
        watcher.on_gradients(training)
    norm = _clip(training)
    bad = _nonfinite(training, loss=loss, norm=norm)
    if bad:
        _skip_or_refuse(training, batches, bad)
    else:
        # In float16 a gradient may overflow: the scaler then leaves the step out and scales less.
        scaler.step(training.optimizer)
        if math.isfinite(norm):  # what overflowed moved nothing, and says nothing of what matters
            method.after_step(model, moment)
            if training.norms:
                training.norms.follow(training.world.sums)
    if scaler.is_enabled():
        scaler.update()
    training.optimizer.zero_grad(set_to_none=True)
    held = memory.now()
    training.room.seen(held)
    state.step += 1
    rows, tokens, padding, shared, trained = training.world.sums(
        sum(len(batch.rows) for batch in batches),
        sum(batch.tokens for batch in batches),
        sum(batch.padding for batch in batches),
        sum(batch.shared for batch in batches),
        sum(batch.trained for batch in batches),
    )
    training.metrics = {}
    training.facts = {
        "loss": loss,
        "learning_rate": rate,
        "grad_norm": norm,
        "rows": int(rows),
        "tokens": int(tokens),
        "trained": int(trained) if trained == int(trained) else trained,
        "padding": padding / (tokens + padding),
        **({"shared": shared / tokens} if shared else {}),
        "seconds": time.perf_counter() - started,
        **_told(training, batches),
        **training.batches.told(),
        **energy.taken(before),
        **held,
        **({"skipped": bad} if bad else {}),
        **({"halvings": state.halvings} if state.halvings else {}),
    }


def _told(training: Training, batches: Sequence[Batch]) -> dict[str, float]:
    """Means of what the loss saw on its way, over all processes."""
    names = list(batches[0].told)
    own = [[float(one) for name in names for one in batch.told[name]] for batch in batches if batch.rows]
    here = [sum(column) for column in zip(*own, strict=True)] or [0.0] * 2 * len(names)
    sums = training.world.sums(*here) if names else []
    return {name: sums[2 * at] / sums[2 * at + 1] for at, name in enumerate(names) if sums[2 * at + 1]}


def _gradients(training: Training) -> tuple[list[Batch], float]:
    """The gradient of the step's mean loss, in micro-batches as small as memory asks for; the batches and the loss.

    Raises:
        WeitiaoError: `out_of_memory` when not even single rows fit; `batch_too_large` for one that must stay whole.
    """
    while True:
        batches = training.batches.step(training.state.step, parts=2**training.state.halvings)
        try:
            return batches, accumulate(training, batches)
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            largest = max(len(batch.rows) for batch in batches)
            why = str(error).splitlines()[0]
        if training.task.couples and largest > 1:  # in parts its rows would teach less
            raise fault("batch_too_large", step=training.state.step + 1, rows=largest, why=why)
        # Other processes wait in the middle of the step, and know nothing of it: their launcher starts all anew.
        if largest == 1 or training.world.size > 1:
            raise fault("out_of_memory", step=training.state.step + 1, why=why)
        training.optimizer.zero_grad(set_to_none=True)
        training.state.halvings += 1
        give_back(training.device)


def accumulate(training: Training, batches: Sequence[Batch]) -> float:
    """Gradients of the mean loss over these micro-batches, and those of other processes; the loss."""
    world = training.world
    if training.norms:
        training.norms.forget()  # a step that was begun and could not be taken
    (trained,) = world.sums(sum(batch.trained for batch in batches))
    _tally(training, batches)
    loss = 0.0
    for turn, batch in enumerate(batches):
        micro, last = turn * world.size + world.rank, turn == len(batches) - 1
        if training.device == "cpu":
            training.room.make(batch.tokens - batch.shared + batch.padding)
        batch = batch.to(training.device)
        _begin(_seed(training.seed, training.state.step, micro), device=training.device)
        with autocast(training.device, training.half):
            # In a step in which nothing counts (all answers are left out) nothing is to be divided by.
            mean = training.objective.loss(batch, trained or 1.0, last=last)
            mean = mean if batch.rows else mean * 0
        training.scaler.scale(mean).backward()
        if training.norms:
            training.norms.take(counts=bool(batch.rows))
        loss += mean.item()
    return world.sums(loss)[0]


def _tally(training: Training, batches: Sequence[Batch]) -> None:
    """What the losses of a step need to know of all of its rows, in every process.

    Nothing drops out, and the precision context is one of its own: half-precision copies of weights are kept until their
    context ends; made without gradient, they would cost the loss the gradient of these weights.
    """
    if not training.task.tallies:
        return
    training.model.eval()
    with torch.no_grad(), autocast(training.device, training.half):
        told = [training.objective.tally(batch.to(training.device)) for batch in batches]
    training.model.train()
    counted = [each for each, batch in zip(told, batches, strict=True) if batch.rows]  # others keep company
    sums = [sum(each[place] for each in counted) for place in range(len(told[0]))]
    step = training.world.sums(*sums)
    for batch in batches:
        batch.extra["step"] = step


def _begin(seed: int, *, device: str) -> None:
    """Chance from here on."""
    if device == "cpu":
        # For devices that are not in use, torch would keep the seed and a trace of the stack: a millisecond a batch.
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _seed(seed: int, step: int, micro: int) -> int:
    # Odd multipliers keep (seed, step, micro) apart; torch takes 64 bits.
    return (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + micro * 0x94D049BB133111EB) % 2**63


def _clip(training: Training) -> float:
    weights = [weight for weight in training.weights.values() if weight.grad is not None]
    limit = training.settings.max_grad_norm or math.inf
    return training.objective.whole(nn.utils.clip_grad_norm_(weights, limit)).item()


def _nonfinite(training: Training, *, loss: float, norm: float) -> str:
    """What is not finite and must not go into the weights; empty when nothing is."""
    if not math.isfinite(loss):
        return f"the loss ({loss})"
    overflow = training.scaler.is_enabled() and training.scaler.get_scale() > 1
    return "the gradient" if not (math.isfinite(norm) or overflow) else ""


def _skip_or_refuse(training: Training, batches: Sequence[Batch], what: str) -> None:
    """Count a step left out, if the recipe allows one more.

    Raises:
        WeitiaoError: `not_finite`, with the rows and the first bad tensor, if it does not.
    """
    everybody = training.world.gather([row for batch in batches for row in batch.rows])
    rows = training.places([row for own in everybody for row in own])
    weights = dict(training.model.named_parameters())
    bad = next((f"weight: {n}" for n, w in weights.items() if not w.isfinite().all()), "")
    spoilt = bool(bad)  # no later step can be better
    bad = bad or next(
        (f"gradient: {n}" for n, w in weights.items() if w.grad is not None and not w.grad.isfinite().all()),
        "",
    )
    training.state.skipped += 1
    if spoilt or training.state.skipped > training.settings.skip_nonfinite_steps:
        tensor = f" First bad {bad}." if bad else ""
        raise fault("not_finite", step=training.state.step + 1, what=what, rows=rows, tensor=tensor)
