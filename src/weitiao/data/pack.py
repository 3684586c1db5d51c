"""Which examples make which step: a pure function of (seed, epoch, index), so a resumed run meets the same rows.

Batches(examples, collate, ...).step(17)  ->  the micro-batches of optimiser step 17
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from weitiao.core.contracts import Batch, Example

if TYPE_CHECKING:
    import numpy as np

Collate = Callable[[Sequence[Example], Sequence[int]], Batch]
POOL = 32  # batches shuffled together before rows of like length are put side by side


@dataclass
class Batches:
    """The training rows in steps, epoch after epoch."""

    examples: Sequence[Example]
    collate: Collate
    batch_size: int
    """Rows in a micro-batch."""
    accumulation: int = 1
    seed: int = 0
    strategy: Literal["group_by_length", "random"] = "group_by_length"
    max_tokens: int | None = None
    """Tokens in a micro-batch, at most, as `padded` counts them; a longer row has one of its own."""
    padded: bool = True
    """Do the rows of a batch fill up to the longest (or lie end to end)?"""
    weights: Sequence[float] | None = None
    """How often each row comes in an epoch; default: once."""
    _planned: tuple[int, list[list[int]]] = field(default=(-1, []), init=False, repr=False)

    @cached_property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass; the last one may hold fewer micro-batches."""
        micro = len(self.plan(0)) if self.max_tokens else math.ceil(self.rows_per_epoch / self.batch_size)
        return math.ceil(micro / self.accumulation)

    @cached_property
    def rows_per_epoch(self) -> int:
        """Rows in one pass, repeats counted."""
        return len(self._drawn(0))

    def padding(self) -> float:
        """Share of the first epoch's positions that hold nothing."""
        lengths = self._lengths
        held = sum(self._size(rows) for rows in self.plan(0))
        return 1 - sum(int(lengths[rows].sum()) for rows in self.plan(0)) / held

    def plan(self, epoch: int) -> list[list[int]]:
        """Row indices of every micro-batch of an epoch; each row occurs exactly once, or as its weight says."""
        if self._planned[0] != epoch:
            self._planned = (epoch, self._plan(epoch))
        return self._planned[1]

    def _plan(self, epoch: int) -> list[list[int]]:
        import numpy as np

        if self.max_tokens and epoch:
            # How many batches a budget makes depends on who meets whom; put together once, their number is the
            # same in every epoch, and only their order changes.
            batches = self._plan(0) if self._planned[0] else self._planned[1]
            rng = np.random.default_rng([self.seed, epoch])
            return [batches[i] for i in rng.permutation(len(batches))]
        rng = np.random.default_rng([self.seed, epoch])
        order = self._drawn(epoch)[rng.permutation(self.rows_per_epoch)]
        if self.strategy == "random":
            return self._cut(order.tolist())
        lengths = self._lengths
        batches = []
        for pool in chunks(order.tolist(), self.batch_size * POOL):
            pool.sort(key=lengths.__getitem__)
            batches += self._cut(pool)
        # The short batch of the last pool stays last, so that every other step is full.
        short = [batches.pop()] if len(batches[-1]) < self.batch_size and not self.max_tokens else []
        return [batches[i] for i in rng.permutation(len(batches))] + short

    def _cut(self, rows: list[int]) -> list[list[int]]:
        if not self.max_tokens:
            return chunks(rows, self.batch_size)
        batches: list[list[int]] = []
        for row in rows:
            fits = batches and len(batches[-1]) < self.batch_size
            if fits and self._size([*batches[-1], row]) <= self.max_tokens:
                batches[-1].append(row)
            else:
                batches.append([row])
        return batches

    def _size(self, rows: list[int]) -> int:
        lengths = self._lengths[rows]
        return int(lengths.max()) * len(rows) if self.padded else int(lengths.sum())

    @cached_property
    def _lengths(self) -> np.ndarray:
        return lengths(self.examples)

    def _drawn(self, epoch: int) -> np.ndarray:
        """The rows of an epoch: each as often as the whole part of its weight, and a draw for what is left."""
        import numpy as np

        rows = np.arange(len(self.examples))
        if self.weights is None:
            return rows
        weights = np.asarray(self.weights, dtype=float)
        rng = np.random.default_rng([self.seed, epoch, 1])
        parts = []
        for weight in np.unique(weights):
            members = rows[weights == weight]
            parts += [np.repeat(members, int(weight))]
            parts += [rng.permutation(members)[: round((weight % 1) * len(members))]]
        return np.sort(np.concatenate(parts))

    def step(self, index: int) -> list[Batch]:
        """The micro-batches of optimiser step `index`, counted from 0 over all epochs."""
        epoch, place = divmod(index, self.steps_per_epoch)
        micro = self.plan(epoch)[place * self.accumulation : (place + 1) * self.accumulation]
        return [self.collate([self.examples[row] for row in rows], rows) for rows in micro]


def in_order(examples: Sequence[Example], collate: Collate, *, batch_size: int) -> Iterator[Batch]:
    """Every example once, rows of like length together: for evaluation, where order does not matter."""
    import numpy as np

    order = np.argsort(lengths(examples), kind="stable").tolist()
    for rows in chunks(order, batch_size):
        yield collate([examples[row] for row in rows], rows)


def lengths(examples: Sequence[Example]) -> np.ndarray:
    """Tokens of every example."""
    import numpy as np

    known = getattr(examples, "lengths", None)
    return np.array([len(example) for example in examples]) if known is None else known


def chunks(items: list[int], size: int) -> list[list[int]]:
    """Consecutive parts of at most `size`."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def pad(sequences: Sequence[Any], value: int) -> Any:
    """Sequences of whole numbers of different length as one (B, T) tensor, padded on the right."""
    import numpy as np
    import torch

    padded = np.full((len(sequences), max(map(len, sequences))), value, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = sequence
    return torch.from_numpy(padded)
