"""How long training takes: its steps, and what is asked beside them.

    lasting(found, heaviest, work, processes=1)  ->  optimiser steps, seconds

Work is counted on shapes; what this machine does of it in a second is measured (`train.pace`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from weitiao.core.contracts import Batch, Sampling
from weitiao.forecast.looked import Looked
from weitiao.forecast.sample import counted, longest

if TYPE_CHECKING:
    from weitiao.train.pace import Pace, Work

PASSES = 12
"""Of AdamW over what trains, in a step."""


def lasting(found: Looked, heaviest: Batch, work: Work, *, processes: int) -> tuple[int, float]:
    """Steps and seconds of training, from the work of the heaviest micro-batch and the positions of all; with the rollouts
    between the steps, and what a reference is asked before the first one.

    Args:
        found: rows, and the model of shapes.
        heaviest: the micro-batch.
        work: of it.
        processes: how many share the work.
    """
    from weitiao.train.pace import Work

    forecast, batches, task = found.forecast, found.batches, found.task
    settings = forecast.recipe.train
    micro, an_epoch, steps = counted(settings, batches, share=found.share, processes=processes)
    size = batches.positions() * found.share / processes / max(1, heaviest.tokens + heaviest.padding)
    # Every optimiser reads and writes what trains, its gradients and its moments some times.
    updates = Work(moved=PASSES * forecast.trained_bytes * an_epoch)
    speed = _speeds(forecast.device)
    seconds = speed(settings.half).seconds(work.times(size, calls=micro) + updates) * steps / an_epoch
    if isinstance(task, Sampling):
        phases = forecast.rollouts(found.examples["train"]).phases
        seconds += sum(speed(phase.half).seconds(phase.work) for phase in phases) * steps / task.passes
    if task.hears:
        seconds += speed(settings.half).seconds(_looking(found)) / processes
    return steps, seconds


def _looking(found: Looked) -> Work:
    """What a reference is asked of the rows that train or validate."""
    from weitiao.data.pack import lengths

    forecast, rows = found.forecast, found.examples["train"]
    batch = longest(forecast.recipe, found.task, forecast.fake.loaded, rows)
    size = lengths(rows).sum() * found.there / max(1, batch.tokens + batch.padding)
    calls = len(rows) * found.there / len(batch.rows)
    return forecast.look(batch).work.times(size, calls=calls)


def _speeds(device: str) -> Callable[[str | None], Pace]:
    import torch

    from weitiao.train import pace

    @cache
    def speed(half: str | None) -> Pace:
        return pace.pace(device, getattr(torch, half or "float32"))

    return speed
