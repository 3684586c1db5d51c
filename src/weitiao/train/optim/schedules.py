"""How the learning rate goes: a warm-up, then what `train.lr_scheduler_type` says.

schedule(settings).share(step, total=100, peak=1e-3)  ->  the share of the peak rate at that step, from 0

A rate is a function of the step alone, so a resumed run has the same; what `reduce_lr_on_plateau` has heard lies in
the run's state.  Names, settings and numbers are those of Transformers, and of torch for `step` and
`reduce_lr_on_plateau`, but for one: the warm-up is counted from 1, so that its first step learns something and its
last one has the whole rate (Transformers counts from 0: a run of one step would learn nothing).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, ValidationError, model_validator

from weitiao.core.errors import did_you_mean, fault
from weitiao.core.recipe import Section, Train
from weitiao.core.renamed import SCHEDULE_SETTINGS
from weitiao.core.unfit import wrong_value
from weitiao.core.why import reason, unfit

KEY = "train.lr_scheduler_kwargs"
Curve = Literal["linear", "cosine", "1-sqrt"]
# A number of steps; below 1 a share of all steps, rounded up.
Steps = Annotated[float, Field(gt=0)]


def count(steps: float, total: int) -> int:
    """A number of steps that may be given as a share of all of them."""
    return math.ceil(steps * total) if steps < 1 else int(steps)


@dataclass(frozen=True, slots=True)
class Span:
    """The run that a rate is asked for."""

    total: int
    """Steps of the whole run."""
    warmup: int
    """Steps of them that warm up."""
    peak: float
    """The learning rate at its highest."""
    memory: Mapping[str, float]
    """What a schedule that listens has heard."""

    def done(self, step: int) -> float:
        """How much is over of what follows the warm-up, from 0 to 1."""
        return (step - self.warmup) / max(1, self.total - self.warmup)


class Schedule(Section):
    """A warm-up and what follows; the fields of a kind are what `train.lr_scheduler_kwargs` takes."""

    warmup_steps: float = 0.0
    """Steps of linear rise, of which step k of w has k / w of the peak; below 1 a share of all steps, rounded up.  From `train.warmup_steps`."""

    def share(
        self, step: int, *, total: int, peak: float = 1.0, memory: Mapping[str, float] | None = None
    ) -> float:
        """Share of the peak learning rate at `step`.

        Args:
            step: from 0.
            total: steps of the whole run.
            peak: the learning rate at its highest, for settings that are rates.
            memory: what `hear` last gave.

        Raises:
            WeitiaoError: `wrong_value` when a setting does not fit this run.
        """
        warmup = count(self.warmup_steps, total)
        span = Span(total, warmup, peak, memory or {})
        self.fits(span)
        return self.rise((step + 1) / warmup) if step < warmup else self.follow(step, span)

    def apply(
        self,
        optimizer: torch.optim.Optimizer,
        step: int,
        *,
        total: int,
        memory: Mapping[str, float] | None = None,
    ) -> float:
        """Set every group's rate for `step`; returns that of a group without factors."""
        peak = optimizer.defaults["lr"]
        share = self.share(step, total=total, peak=peak, memory=memory)
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * share
        return peak * share

    def settings(self) -> dict[str, Any]:
        """The keyword settings, all of them, for the recipe."""
        return self.model_dump(exclude={"warmup_steps"})

    def fits(self, span: Span) -> None:
        """Refuse a run for which a setting makes no sense."""
        return

    def rise(self, done: float) -> float:
        """Share of the peak when `done` of the warm-up is over."""
        return done

    @abstractmethod
    def follow(self, step: int, span: Span) -> float:
        """Share of the peak at a step behind the warm-up."""


class Constant(Schedule):
    """Level."""

    def follow(self, step: int, span: Span) -> float:
        """1."""
        return 1.0


class Linear(Schedule):
    """Down to 0 in a line."""

    def follow(self, step: int, span: Span) -> float:
        """1 - done."""
        return max(0.0, 1 - span.done(step))


class Cosine(Schedule):
    """Down in a half cosine, or in so many waves (Loshchilov & Hutter 2017, arXiv 1608.03983)."""

    num_cycles: Annotated[float, Field(gt=0)] = 0.5
    """Waves; a half goes down once."""
    min_lr_ratio: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Where it ends, as a share of the peak."""

    def follow(self, step: int, span: Span) -> float:
        """(1 + cos(2 pi cycles done)) / 2, from 1 to the minimum."""
        wave = 0.5 * (1 + math.cos(math.pi * self.num_cycles * 2 * min(1.0, span.done(step))))
        return _above(self.min_lr_ratio, wave)


class CosineWithRestarts(Schedule):
    """Half cosines, each begun at the peak again."""

    num_cycles: Annotated[int, Field(ge=1)] = 1
    """How many."""

    def follow(self, step: int, span: Span) -> float:
        """(1 + cos(pi (cycles done mod 1))) / 2."""
        done = span.done(step)
        return 0.0 if done >= 1 else 0.5 * (1 + math.cos(math.pi * ((self.num_cycles * done) % 1.0)))


class Polynomial(Schedule):
    """Down to a small rate as a power of what is left."""

    power: Annotated[float, Field(gt=0)] = 1.0
    """1 is a line, 2 a parabola."""
    lr_end: Annotated[float, Field(ge=0)] = 1e-7
    """The learning rate at the end (not a share of it)."""

    def fits(self, span: Span) -> None:
        """The end must lie below the peak."""
        if self.lr_end >= span.peak:
            why = reason("ends_below_peak", peak=f"{span.peak:g}")
            raise fault("wrong_value", key=f"{KEY}.lr_end", value=self.lr_end, why=why)

    def follow(self, step: int, span: Span) -> float:
        """(peak - end) (1 - done)^power + end, over the peak."""
        left = max(0.0, 1 - span.done(step))
        return ((span.peak - self.lr_end) * left**self.power + self.lr_end) / span.peak


class Step(Schedule):
    """Down by a factor every so many steps, or at given ones."""

    step_size: Steps | None = None
    """Steps between two falls, counted from the end of the warm-up; below 1 a share of all steps."""
    milestones: list[Steps] | None = None
    """The steps of the run at which the rate falls; below 1 shares of all steps."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1
    """What a fall leaves."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Step:
        if (self.step_size is None) == (not self.milestones):
            raise unfit("steps_or_milestones")
        return self

    def follow(self, step: int, span: Span) -> float:
        """gamma^falls."""
        if self.step_size is not None:
            falls = (step - span.warmup) // count(self.step_size, span.total)
        else:
            falls = sum(step >= count(at, span.total) for at in self.milestones or ())
        return self.gamma**falls


class InverseSqrt(Schedule):
    """Down as one over the square root of the step (Vaswani et al. 2017, arXiv 1706.03762)."""

    timescale: Annotated[float, Field(ge=1)] | None = None
    """Steps in which the rate falls to 0.71 of the peak; default: those of the warm-up, or 10,000 without one."""

    def follow(self, step: int, span: Span) -> float:
        """sqrt(timescale / (step - warmup + timescale))."""
        scale = self.timescale or span.warmup or 10_000
        return 1 / math.sqrt((step - span.warmup + scale) / scale)


class WarmupStableDecay(Schedule):
    """Up, level, down (Hu et al. 2024, arXiv 2404.06395)."""

    num_decay_steps: Steps = 0.1
    """Steps on the way down; below 1 a share of all steps.  The paper found a tenth to be enough."""
    num_stable_steps: Steps | None = None
    """Steps on the level; default: all that is left."""
    warmup_type: Curve = "linear"
    """How it goes up."""
    decay_type: Curve = "cosine"
    """How it goes down."""
    num_cycles: Annotated[float, Field(gt=0)] = 0.5
    """Waves of a cosine on the way down; a half goes down once."""
    min_lr_ratio: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Where it begins and ends, as a share of the peak."""

    def fits(self, span: Span) -> None:
        """The way down must find room."""
        decay = count(self.num_decay_steps, span.total)
        stable = count(self.num_stable_steps, span.total) if self.num_stable_steps else 0
        if span.warmup + stable + decay > span.total:
            facts = {"warmup": span.warmup, "stable": stable, "decay": decay, "total": span.total}
            why = reason("no_room_for_decay", **facts)
            raise fault("wrong_value", key=f"{KEY}.num_decay_steps", value=self.num_decay_steps, why=why)

    def rise(self, done: float) -> float:
        """From the minimum to 1."""
        curve = {
            "linear": done,
            "cosine": 0.5 * (1 - math.cos(math.pi * done)),
            "1-sqrt": 1 - math.sqrt(1 - done),
        }
        return _above(self.min_lr_ratio, curve[self.warmup_type])

    def follow(self, step: int, span: Span) -> float:
        """1, then down to the minimum, then the minimum."""
        decay = count(self.num_decay_steps, span.total)
        if self.num_stable_steps is None:
            begin = span.total - decay
        else:
            begin = span.warmup + count(self.num_stable_steps, span.total)
        if step < begin:
            return 1.0
        if step >= begin + decay:
            return self.min_lr_ratio
        done = (step - begin) / decay
        wave = 0.5 * (1 + math.cos(math.pi * self.num_cycles * 2 * done))
        curve = {"linear": 1 - done, "cosine": wave, "1-sqrt": 1 - math.sqrt(done)}
        return _above(self.min_lr_ratio, curve[self.decay_type])


class ReduceLROnPlateau(Schedule):
    """Level, and down by a factor when the validation rows have seen no gain for a while."""

    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """What a fall leaves."""
    patience: Annotated[int, Field(ge=0)] = 10
    """Evaluations without a gain that are borne; the next one brings the fall."""
    threshold: Annotated[float, Field(ge=0)] = 1e-4
    """What counts as a gain."""
    threshold_mode: Literal["rel", "abs"] = "rel"
    """Is the threshold a share of the best value, or a difference from it?"""
    cooldown: Annotated[int, Field(ge=0)] = 0
    """Evaluations after a fall that are not counted."""
    min_lr: Annotated[float, Field(ge=0)] = 0.0
    """The rate never falls below."""
    eps: Annotated[float, Field(ge=0)] = 1e-8
    """Falls of the rate by no more than this are left out."""

    def follow(self, step: int, span: Span) -> float:
        """What the falls so far have left."""
        return span.memory.get("scale", 1.0)

    def hear(
        self, memory: Mapping[str, float], value: float, *, peak: float, higher_is_better: bool
    ) -> dict[str, float]:
        """What is to be remembered after an evaluation: `scale`, `best`, `bad`, `cooldown`.

        Args:
            memory: what was remembered before; empty at first.
            value: the deciding metric.
            peak: the learning rate at its highest.
            higher_is_better: is a larger value a gain?
        """
        worst = -math.inf if higher_is_better else math.inf
        scale, best = memory.get("scale", 1.0), memory.get("best", worst)
        bad, cooldown = memory.get("bad", 0), memory.get("cooldown", 0)
        if self._gains(value, best, higher_is_better=higher_is_better):
            best, bad = value, 0
        else:
            bad += 1
        if cooldown > 0:
            cooldown, bad = cooldown - 1, 0
        if bad > self.patience:
            lower = max(peak * scale * self.factor, self.min_lr)
            if peak * scale - lower > self.eps:
                scale = lower / peak
            bad, cooldown = 0, self.cooldown
        found = {"scale": scale, "best": best, "bad": bad, "cooldown": cooldown}
        return {
            name: number for name, number in found.items() if math.isfinite(number)
        }  # JSON has no infinity

    def _gains(self, value: float, best: float, *, higher_is_better: bool) -> bool:
        threshold = self.threshold if higher_is_better else -self.threshold
        bar = best * (1 + threshold) if self.threshold_mode == "rel" else best + threshold
        return value > bar if higher_is_better else value < bar


def _above(least: float, share: float) -> float:
    """From 0..1 to least..1."""
    return max(0.0, share * (1 - least) + least)


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "linear": Linear,
    "cosine": Cosine,
    "cosine_with_restarts": CosineWithRestarts,
    "polynomial": Polynomial,
    "step": Step,
    "inverse_sqrt": InverseSqrt,
    "warmup_stable_decay": WarmupStableDecay,
    "reduce_lr_on_plateau": ReduceLROnPlateau,
}


def schedule(settings: Train) -> Schedule:
    """The schedule that the recipe's `train` section asks for, its settings checked one by one.

    Raises:
        WeitiaoError: `unknown_key` (with "did you mean") or `wrong_value`.
    """
    kind = SCHEDULES[settings.lr_scheduler_type]
    known = [name for name in kind.model_fields if name != "warmup_steps"]
    for key in settings.lr_scheduler_kwargs:
        if key not in known:
            hint = f" -> {SCHEDULE_SETTINGS[key]}" if key in SCHEDULE_SETTINGS else did_you_mean(key, known)
            raise fault("unknown_key", key=f"{KEY}.{key}", hint=hint, known=", ".join(known) or "-")
    try:
        return kind.model_validate({**settings.lr_scheduler_kwargs, "warmup_steps": settings.warmup_steps})
    except ValidationError as error:
        raise wrong_value(error, prefix=KEY) from None
