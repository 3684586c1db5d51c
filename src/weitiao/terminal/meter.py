"""What training says while it goes on: a bar with its figures in a terminal, a line now and then elsewhere.

          epoch 0.57, step 160/280: loss 0.412  rate 1.8e-05  3,210 tokens/s  memory 812 MB  left 0:00:09
          epoch 0.57, step 160: validation loss 0.3901, accuracy 0.8600  best so far

Speed is that of the last steps; the time left goes by everything since the first one, validation and saving too.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from weitiao.core.why import reason
from weitiao.evaluate.words import named
from weitiao.terminal.bars import clock, megabytes
from weitiao.terminal.screen import Screen
from weitiao.train.loop import Training, Watcher
from weitiao.train.watchers import period

SMOOTHED = 20
"""Steps behind the speed that is shown: a single one jumps with the lengths of its rows."""


@dataclass
class Meter(Watcher):
    """Moves the bar after every step; where there is no terminal, says a line after the first step, so that one sees at
    once how it goes, and every `train.logging_steps` steps."""

    screen: Screen
    _recent: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=SMOOTHED), init=False)
    _losses: list[float] = field(default_factory=list, init=False)
    _first: tuple[int, float] | None = field(default=None, init=False)

    def on_start(self, training: Training) -> None:
        """An empty bar, and what the validation rows say of the untuned model if they were asked."""
        self.screen.bar(
            named("train"),
            training.state.step,
            training.total,
            note=f"{training.state.step}/{training.total}",
        )
        self._validation(training)

    def on_step(self, training: Training) -> None:
        """The bar, the figures, a line."""
        facts, step, total = training.facts, training.state.step, training.total
        self._recent.append((facts["tokens"], facts["seconds"]))
        self._losses.append(facts["loss"])
        first, left = self._first is None, self._left(step, total)
        ends = None if left is None else time.monotonic() + left
        figures = self.figures(facts, words=training.task.reads_words)
        self.screen.bar(named("train"), step, total, note=f"{step}/{total}", ends=ends)
        loss = reason("loss_is", loss=f"{facts['loss']:.4g}")
        self.screen.figures(f"{loss}  {figures}")
        if first or step % period(training.settings.logging_steps, total=total) == 0 or step == total:
            mean = sum(self._losses) / len(self._losses)
            self._losses.clear()
            if not self.screen.live:
                rest = "  " + reason("left", time=clock(left)) if step < total else ""
                where = reason("epoch_step", epoch=f"{training.epoch:.2f}", step=f"{step}/{total}")
                loss = reason("loss_is", loss=f"{mean:.4g}")
                self.screen.line(f"      {where}: {loss}  {figures}{rest}")
        self._validation(training)

    def on_end(self, training: Training) -> None:
        """The bar stays as it is; its figures were those of a step under way."""
        self.screen.figures("")

    def figures(self, facts: dict[str, Any], *, words: bool) -> str:
        """Rate, speed (in tokens where the model reads words, else in pictures) and memory."""
        speed = sum(tokens for tokens, _ in self._recent) / sum(seconds for _, seconds in self._recent)
        held = [
            said
            for key, said in (
                ("memory_mb", reason("memory_held", size=megabytes(facts.get("memory_mb", 0)))),
                ("gpu_memory_mb", f"GPU {megabytes(facts.get('gpu_memory_mb', 0))}"),
            )
            if key in facts
        ]
        kind = "rate_and_speed" if words else "rate_and_pictures"
        pace = reason(kind, rate=f"{facts['learning_rate']:.3g}", speed=f"{speed:,.0f}")
        return "  ".join([pace, *held])

    def _left(self, step: int, total: int) -> float | None:
        """Seconds left; the first step warms up, and says nothing of the others."""
        now = time.monotonic()
        if self._first is None:
            self._first = step, now
        before, then = self._first
        return (total - step) * (now - then) / (step - before) if step > before else None

    def _validation(self, training: Training) -> None:
        if training.metrics:
            step, state = training.state.step, training.state
            decides = ("loss", training.task.primary, training.settings.metric_for_best_model)
            shown = {
                name: training.metrics[name] for name in dict.fromkeys(decides) if name in training.metrics
            }
            numbers = ", ".join(f"{named(name)} {value:.4f}" for name, value in shown.items())
            best = reason("best_so_far") if step and state.best_step == step else ""
            where = reason("epoch_step", epoch=f"{training.epoch:.2f}", step=step)
            self.screen.line(f"      {where}: {reason('validation_said', named=numbers)}{best}")
