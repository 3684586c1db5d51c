"""What stands around the loop: log, validate, stop early, save, interrupt.  Each is small and knows no other.

They are asked in the order of the list, and the order matters: `Validate` before those that read its metrics,
`Save` after all that change the state which it keeps.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal

from weitiao.core.run import RunFolder
from weitiao.train import checkpoint
from weitiao.train.loop import Training, Watcher
from weitiao.train.optim.schedules import ReduceLROnPlateau


def due(training: Training, strategy: Literal["epoch", "steps", "best", "no"], *, every: int) -> bool:
    """Is it time?  At the end of an epoch, or of `every` steps; and always after the last step, unless `no`."""
    if strategy in ("no", "best"):
        return False
    period = training.batches.steps_per_epoch if strategy == "epoch" else every
    return training.state.step % period == 0 or training.state.step == training.total


@dataclass
class Log(Watcher):
    """One line a step in `log.jsonl`, in full precision."""

    run: RunFolder

    def on_step(self, training: Training) -> None:
        """Step, place in the epoch, and what the step did."""
        self.run.log(event="step", step=training.state.step, epoch=training.epoch, **training.facts)


@dataclass
class Validate(Watcher):
    """Ask the validation rows, and remember which step did best."""

    run: RunFolder
    measure: Callable[[], dict[str, float]]
    metric: str
    higher_is_better: bool
    strategy: Literal["epoch", "steps", "no"]
    every: int

    def on_step(self, training: Training) -> None:
        """Metrics into `training.metrics`; the state learns whether they were a gain."""
        if not due(training, self.strategy, every=self.every):
            return
        training.metrics = self.measure()
        training.model.train()
        state, value = training.state, training.metrics[self.metric]
        gain = state.best is None or (value > state.best if self.higher_is_better else value < state.best)
        if gain:
            state.best, state.best_step, state.stale = value, state.step, 0
        else:
            state.stale += 1
        training.method.after_evaluation(training.model, gain=gain)
        named = {f"validation/{name}": value for name, value in training.metrics.items()}
        self.run.log(event="evaluate", step=state.step, epoch=training.epoch, **named)


@dataclass
class Plateau(Watcher):
    """Let the schedule hear what the validation rows said (`reduce_lr_on_plateau`)."""

    run: RunFolder
    metric: str
    higher_is_better: bool

    def on_step(self, training: Training) -> None:
        """What is heard lies in the state, so a resumed run has the rates of the whole one."""
        schedule, state = training.schedule, training.state
        if not training.metrics or not isinstance(schedule, ReduceLROnPlateau):
            return
        peak, before = training.optimizer.defaults["lr"], state.plateau.get("scale", 1.0)
        value = training.metrics[self.metric]
        state.plateau = schedule.hear(state.plateau, value, peak=peak, higher_is_better=self.higher_is_better)
        if (scale := state.plateau["scale"]) != before:
            self.run.log(event="reduce_lr", step=state.step, epoch=training.epoch, learning_rate=peak * scale)


@dataclass
class EarlyStop(Watcher):
    """Stop when the validation rows have seen no gain for `patience` evaluations."""

    run: RunFolder
    patience: int

    def on_step(self, training: Training) -> None:
        """Asks the state, so a resumed run stops where the whole one would."""
        if training.metrics and training.state.stale >= self.patience:
            training.stop = "early_stop"
            self.run.log(event="early_stop", step=training.state.step, epoch=training.epoch)


@dataclass
class Save(Watcher):
    """Write checkpoints, keep few of them, never lose the best."""

    run: RunFolder
    strategy: Literal["epoch", "steps", "best", "no"]
    every: int
    keep: int
    keep_best: bool

    def on_step(self, training: Training) -> None:
        """On schedule, at a new best, and when something ends the run from outside."""
        state = training.state
        best = (
            (self.keep_best or self.strategy == "best") and training.metrics and state.best_step == state.step
        )
        if not (due(training, self.strategy, every=self.every) or best or training.stop):
            return
        folder = checkpoint.save(self.run, training)
        self.run.log(event="save", step=state.step, epoch=training.epoch, checkpoint=folder.name)
        if training.world.first:
            checkpoint.prune(self.run, keep=self.keep, best_step=state.best_step if self.keep_best else -1)


@dataclass
class Interrupt(Watcher):
    """SIGINT and SIGTERM end the run after the current step, with a checkpoint; a second signal ends it at once."""

    caught: int = field(default=0, init=False)

    def around(self, training: Training) -> AbstractContextManager[Any] | None:
        """Handlers for as long as the loop runs; only the main thread may set them."""
        return self._handling() if threading.current_thread() is threading.main_thread() else None

    @contextmanager
    def _handling(self) -> Iterator[None]:
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def note(number: int, frame: FrameType | None) -> None:
            self.caught = number
            signal.signal(number, before[signal.Signals(number)])

        for number in before:
            signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def on_step(self, training: Training) -> None:
        """Pass the signal on to the loop, whichever process caught it."""
        name = training.world.agree(signal.Signals(self.caught).name if self.caught else "")
        if name:
            self.caught, training.stop = signal.Signals[name].value, name
