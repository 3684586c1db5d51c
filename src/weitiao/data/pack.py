"""Which examples make which step: a pure function of (seed, epoch, index), so a resumed run meets the same rows.

Batches(examples, collate, ...).step(17)  ->  the micro-batches of optimiser step 17
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from weitiao.core.contracts import Batch, Example

Collate = Callable[[Sequence[Example], Sequence[int]], Batch]
POOL = 32  # batches shuffled together before rows of like length are put side by side


@dataclass
class Batches:
    """The training rows in steps, epoch after epoch."""

    examples: Sequence[Example]
    collate: Collate
    batch_size: int
    accumulation: int = 1
    seed: int = 0
    strategy: Literal["group_by_length", "random"] = "group_by_length"
    _planned: tuple[int, list[list[int]]] = field(default=(-1, []), init=False, repr=False)

    @cached_property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass; the last one may hold fewer micro-batches."""
        return math.ceil(math.ceil(len(self.examples) / self.batch_size) / self.accumulation)

    def plan(self, epoch: int) -> list[list[int]]:
        """Row indices of every micro-batch of an epoch; each row occurs exactly once."""
        if self._planned[0] != epoch:
            self._planned = (epoch, self._plan(epoch))
        return self._planned[1]

    def _plan(self, epoch: int) -> list[list[int]]:
        import numpy as np

        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.examples)).tolist()
        if self.strategy == "random":
            return chunks(order, self.batch_size)
        batches = []
        for pool in chunks(order, self.batch_size * POOL):
            pool.sort(key=lambda row: len(self.examples[row]))
            batches += chunks(pool, self.batch_size)
        # The short batch of the last pool stays last, so that every other step is full.
        short = [batches.pop()] if len(batches[-1]) < self.batch_size else []
        return [batches[i] for i in rng.permutation(len(batches))] + short

    def step(self, index: int) -> list[Batch]:
        """The micro-batches of optimiser step `index`, counted from 0 over all epochs."""
        epoch, place = divmod(index, self.steps_per_epoch)
        micro = self.plan(epoch)[place * self.accumulation : (place + 1) * self.accumulation]
        return [self.collate([self.examples[row] for row in rows], rows) for rows in micro]


def in_order(examples: Sequence[Example], collate: Collate, *, batch_size: int) -> Iterator[Batch]:
    """Every example once, rows of like length together: for evaluation, where order does not matter."""
    order = sorted(range(len(examples)), key=lambda row: len(examples[row]))
    for rows in chunks(order, batch_size):
        yield collate([examples[row] for row in rows], rows)


def chunks(items: list[int], size: int) -> list[list[int]]:
    """Consecutive parts of at most `size`."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def pad(sequences: Sequence[Sequence[int]], value: int) -> Any:
    """Sequences of different length as one (B, T) tensor, padded on the right."""
    import torch

    longest = max(map(len, sequences))
    return torch.tensor([[*sequence, *[value] * (longest - len(sequence))] for sequence in sequences])
