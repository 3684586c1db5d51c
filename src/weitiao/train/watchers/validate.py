"""What the validation rows decide: which step did best, what the schedule hears, when to stop early.

metrics -> training.metrics, state.best, state.best_step, state.stale; an "evaluate" line in log.jsonl
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from weitiao.core.run import RunFolder
from weitiao.train.loop import Training, Watcher
from weitiao.train.optim.schedules import ReduceLROnPlateau


def period(steps: float, *, total: int) -> int:
    """A number of steps; below 1 it is a share of all steps, rounded up as in Transformers."""
    return int(steps) if steps >= 1 else math.ceil(steps * total)


def due(training: Training, strategy: Literal["epoch", "steps", "best", "no"], *, every: float) -> bool:
    """Is it time?  At the end of an epoch, or of `every` steps; and always after the last step, unless `no`."""
    if strategy in ("no", "best"):
        return False
    steps = training.batches.steps_per_epoch if strategy == "epoch" else period(every, total=training.total)
    return training.state.step % steps == 0 or training.state.step == training.total


@dataclass
class Validate(Watcher):
    """Ask the validation rows, and remember which step did best."""

    run: RunFolder
    measure: Callable[[], dict[str, float]]
    metric: str
    higher_is_better: bool
    strategy: Literal["epoch", "steps", "no"]
    every: float
    at_start: bool = False
    """Ask them before the first step too."""
    threshold: float = 0.0
    """By how much the best value must be beaten for patience to begin anew; the best is the best by any margin."""

    def on_start(self, training: Training) -> None:
        """What the model does before it is tuned; it is no candidate for the best step, as in Transformers."""
        if self.at_start and training.state.step == 0:
            self._ask(training)

    def on_step(self, training: Training) -> None:
        """Metrics into `training.metrics`; the state learns whether they were a gain."""
        if not due(training, self.strategy, every=self.every):
            return
        self._ask(training)
        state, value, before = training.state, training.metrics[self.metric], training.state.best
        loss, least = training.metrics.get("loss", math.inf), state.best_loss
        # A score of few rows, or of rare names, stands still while the loss falls: that is no standstill.
        alike = value == before and least is not None and loss < least
        # What is no number is no gain, and the first of all neither.
        gain = math.isfinite(value) and (
            before is None or alike or (value > before if self.higher_is_better else value < before)
        )
        if gain:
            state.best, state.best_step = value, state.step
            state.best_loss = loss if math.isfinite(loss) else None
        beaten = before is None or abs(value - before) > self.threshold or (alike and not self.threshold)
        enough = gain and beaten
        state.stale = 0 if enough else state.stale + 1
        training.method.after_evaluation(training.model, gain=gain)

    def _ask(self, training: Training) -> None:
        training.metrics = self.measure()
        training.model.train()
        named = {f"validation/{name}": value for name, value in training.metrics.items()}
        self.run.log(event="evaluate", step=training.state.step, epoch=training.epoch, **named)


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
