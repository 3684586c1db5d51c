"""What keeps a run: lines in `log.jsonl`, checkpoints, and an end by signal that loses nothing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal

from weitiao.core.run import RunFolder
from weitiao.train import checkpoint
from weitiao.train.loop import Training, Watcher, refuse_spoilt
from weitiao.train.watchers.validate import due


@dataclass
class Log(Watcher):
    """One line a step in `log.jsonl`, in full precision."""

    run: RunFolder

    def on_step(self, training: Training) -> None:
        """Step, place in the epoch, and what the step did."""
        self.run.log(event="step", step=training.state.step, epoch=training.epoch, **training.facts)


@dataclass
class Save(Watcher):
    """Write checkpoints, keep few of them, never lose the best."""

    run: RunFolder
    strategy: Literal["epoch", "steps", "best", "no"]
    every: float
    keep: int
    keep_best: bool
    _last: int = field(default=-1, init=False)
    """The step of the newest checkpoint that this process has written."""

    def on_step(self, training: Training) -> None:
        """On schedule, at a new best, and when something ends the run from outside."""
        state = training.state
        best = (
            (self.keep_best or self.strategy == "best") and training.metrics and state.best_step == state.step
        )
        if not (due(training, self.strategy, every=self.every) or best or training.stop):
            return
        self._save(training)

    def on_end(self, training: Training) -> None:
        """When a watcher that is asked after this one has ended the run."""
        if training.stop and self._last != training.state.step:
            self._save(training)

    def _save(self, training: Training) -> None:
        state = training.state
        refuse_spoilt(training)
        folder = checkpoint.save(self.run, training)
        self._last = state.step
        self.run.log(event="save", step=state.step, epoch=training.epoch, checkpoint=folder.name)
        if training.world.first:
            checkpoint.prune(self.run, keep=self.keep, best_step=state.best_step if self.keep_best else -1)


PAUSED = "paused"
"""Why a run ended that was asked to, and goes on from there."""

ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]
"""What tells a run to end: a person, a system that shuts down, a scheduler before the time is over (SIGUSR1)."""


@dataclass
class Interrupt(Watcher):
    """SIGINT, SIGTERM and SIGUSR1 end the run after the current step, with a checkpoint; a second signal ends it at once."""

    pause_after: float | None = None
    """The first look at the validation rows after so many epochs ends it too; the schedule is that of the whole run."""
    caught: int = field(default=0, init=False)

    def around(self, training: Training) -> AbstractContextManager[Any] | None:
        """Handlers for as long as the loop runs; only the main thread may set them."""
        return self._handling() if threading.current_thread() is threading.main_thread() else None

    @contextmanager
    def _handling(self) -> Iterator[None]:
        before = {number: signal.getsignal(number) for number in ENDING}

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
        elif self.pause_after is not None and training.metrics and not training.stop:
            left = training.state.step < training.total
            training.stop = PAUSED if left and training.epoch >= self.pause_after - 1e-9 else ""
