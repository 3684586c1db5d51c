"""What a sample of rows says of all, and what the machine holds and keeps besides.

longest(recipe, task, loaded, examples)       ->  the heaviest batch of rows that are only predicted
counted(settings, batches, share=10.0)        ->  micro-batches and steps of an epoch, steps of the whole run
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from typing import TYPE_CHECKING

from weitiao.core.contracts import Batch, Example, Task
from weitiao.core.recipe import Recipe, Train

if TYPE_CHECKING:
    from weitiao.data.pack import Batches
    from weitiao.models.load import Loaded

KERNELS = 100_000_000
"""Bytes that torch's code takes on a CPU once it computes: its pages, and what oneDNN compiles for every shape (measured
30 MB behind a step, 120 MB behind 150 steps of rows of many lengths)."""


def longest(recipe: Recipe, task: Task, loaded: Loaded, examples: Sequence[Example]) -> Batch:
    """The heaviest batch of rows that are only predicted: the longest ones together."""
    import numpy as np

    from weitiao.data.pack import lengths, within

    sizes = lengths(examples)
    size = recipe.train.per_device_eval_batch_size
    rows = np.argsort(sizes, kind="stable")[-size:].tolist()
    # As `evaluate.predict` has it.
    few = within(rows, sizes, size * loaded.limit)
    parts = [part for rows in few for part in loaded.layout.parts(rows, sizes[rows].tolist())]
    most = max(parts, key=lambda part: sizes[part].sum())
    return loaded.collate(task)([examples[row] for row in most], most)


def resident() -> int:
    """Bytes that this process holds now; 0 on a GPU, whose memory the program does not take."""
    from weitiao.models.load import pick_device
    from weitiao.train import memory

    return 0 if pick_device().startswith("cuda") else round(memory.now().get("memory_mb", 0) * 1e6)


def checkpoints(settings: Train) -> int:
    """How many lie in the run folder at once, at most: those that are kept, and the one that is being written."""
    kept = settings.save_total_limit if settings.save_strategy != "no" else 0
    kept += settings.load_best_model_at_end
    return kept + 1 if kept else 0


def counted(settings: Train, batches: Batches, *, share: float, processes: int = 1) -> tuple[int, int, int]:
    """Micro-batches and optimiser steps of an epoch, steps of the whole run, from a sample of its rows.

    Args:
        settings: of the whole run.
        batches: of the sample, as `micro_batches` makes them.
        share: how many rows come in an epoch for each of the sample's.
        processes: how many share the work.
    """
    # The last batch of a sample is rarely full, and must not be counted up with the others.
    small = len(batches.plan(0)) if batches.max_tokens else batches.rows_per_epoch / batches.batch_size
    micro = math.ceil(round(small * share / processes, 6))
    an_epoch = math.ceil(micro / settings.gradient_accumulation_steps)
    whole = math.ceil(settings.num_train_epochs * an_epoch)
    return micro, an_epoch, min(whole, settings.max_steps or whole)


def share_of(there: Sequence[int], looked: Sequence[int], often: Sequence[float]) -> float:
    """How many rows come in an epoch for each that does where a few of each file are looked at.

    Args:
        there: rows of each file.
        looked: how many of them are looked at.
        often: how often those of each file come in an epoch (`data.weights`).
    """
    few = sum(map(mul, often, looked))
    return sum(map(mul, often, there)) / few if few else 1.0
