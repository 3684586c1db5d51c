"""Where a run stands, beside weights and moments.

The loop moves it on; a checkpoint keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class State:
    """Where a run stands: all that a checkpoint keeps beside weights and moments."""

    step: int = 0
    """Optimiser steps taken."""
    best: float | None = None
    """Best value of the deciding metric so far."""
    best_step: int = 0
    """The step that gave it."""
    best_loss: float | None = None
    """Loss of the validation rows at that step, which decides between steps of the same value."""
    stale: int = 0
    """Evaluations since then."""
    plateau: dict[str, float] = field(default_factory=dict)
    """What the schedule has heard from the validation rows, if it listens (`reduce_lr_on_plateau`)."""
    skipped: int = 0
    """Steps left out because something in them was not finite."""
    halvings: int = 0
    """How often micro-batches were halved because memory did not suffice."""
    processes: int = 1
    """To how many processes the run was begun on; a step holds so many times the accumulation."""
