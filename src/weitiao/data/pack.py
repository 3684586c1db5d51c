"""Which examples make which step: a pure function of (seed, epoch, index), so a resumed run meets the same rows.

Batches(examples, collate, ...).step(17)  ->  the micro-batches of optimiser step 17
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any, Literal, Protocol

from weitiao.core.contracts import Batch, Example
from weitiao.data.layout import Layout
from weitiao.data.prefetch import Prefetch

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Collate = Callable[[Sequence[Example], Sequence[int]], Batch]
POOL = 32  # batches shuffled together before rows of like length are put side by side


class Steps(Protocol):
    """What the loop knows of the rows it learns from."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass over the rows."""

    @property
    def outlook(self) -> Batches:
        """Rows of an epoch as far as they are known beforehand, for forecasts."""

    def step(self, index: int, *, parts: int = 1) -> list[Batch]:
        """This process's micro-batches of an optimiser step, as `Batches.step`."""

    def padding(self) -> float:
        """Share of positions that hold nothing, as far as that is known beforehand."""

    def told(self) -> dict[str, Any]:
        """What is to be said of the last step's rows, once."""

    def kept(self, step: int) -> dict[str, Tensor]:
        """What a checkpoint must have so that this step, and what follows, is made again."""

    def take_up(self, kept: Mapping[str, Tensor]) -> None:
        """What `kept` gave."""


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
    """Tokens in a micro-batch, at most, padding counted; a longer row has one of its own."""
    layout: Layout = Layout.PADDED
    """How rows lie beside each other."""
    room: int | None = None
    """Tokens in a forward pass, at most, unless a single row has more: rows that are read in several passes make it as
    many more as they need, and the step stays the same."""
    weights: Sequence[float] | None = None
    """How often each row comes in an epoch; default: once."""
    varies: bool = False
    """Are rows changed each time they come?  Each then says whence its chance is drawn."""
    mixes: bool = False
    """Does each bring another row with it, drawn by its chance?"""
    workers: int = 0
    """Threads that make the batches of the next steps."""
    dealt: tuple[int, int] = (0, 1)
    """Which process this is, and to how many the micro-batches of a step are dealt like cards."""
    _planned: dict[int, list[list[int]]] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass; the last one may hold fewer micro-batches."""
        micro = len(self._budgeted) if self.max_tokens else math.ceil(self.rows_per_epoch / self.batch_size)
        return math.ceil(micro / self.accumulation)

    @cached_property
    def rows_per_epoch(self) -> int:
        """Rows in one pass, repeats counted."""
        return len(self._seats[1])

    def padding(self) -> float:
        """Share of the first epoch's positions that hold nothing."""
        return 1 - sum(int(self._lengths[rows].sum()) for rows in self.plan(0)) / self.positions()

    def positions(self) -> int:
        """Of the first epoch, padding among them."""
        return sum(self._size(rows) for rows in self.plan(0))

    def heaviest(self) -> Batch:
        """A micro-batch that holds as many positions as any in an epoch of such rows: the longest ones together where
        rows are put side by side by length, else the largest that is drawn in the first epoch."""
        import numpy as np

        lengths = self._lengths
        # Where passes are limited, some rows may fill one better than the longest do.
        if self.strategy == "group_by_length" and not self.max_tokens and not self.room:
            # The last pool of a few rows ends with a short batch, and these would be in it.
            planned = [np.argsort(lengths, kind="stable")[-self.batch_size :].tolist()]
        else:
            planned = self.plan(0)
        parts = [part for rows in planned for part in self._parts(rows)]
        return self._collated(max(parts, key=self._size))

    def plan(self, epoch: int) -> list[list[int]]:
        """Row indices of every micro-batch of an epoch; each row occurs exactly once, or as its weight says."""
        found = self._planned.get(epoch)
        if found is None:
            found = self._plan(epoch)
            # The one before is kept: threads that work ahead are in the next epoch already.
            self._planned = {epoch: found, **{e: p for e, p in self._planned.items() if e == epoch - 1}}
        return found

    def _plan(self, epoch: int) -> list[list[int]]:
        import numpy as np

        rng = np.random.default_rng([self.seed, epoch])
        drawn = self._drawn(epoch)
        if self.max_tokens:
            return [drawn[self._budgeted[i]].tolist() for i in rng.permutation(len(self._budgeted))]
        order = drawn[rng.permutation(len(drawn))].tolist()
        if self.strategy == "random":
            return chunks(order, self.batch_size)
        batches = [
            part for pool in self._pools(order, self._lengths) for part in chunks(pool, self.batch_size)
        ]
        # The short batch of the last pool stays last, so that every other step is full.
        short = [batches.pop()] if len(batches[-1]) < self.batch_size else []
        return [batches[i] for i in rng.permutation(len(batches))] + short

    def _pools(self, order: list[int], lengths: np.ndarray) -> Iterator[list[int]]:
        for pool in chunks(order, self.batch_size * POOL):
            yield sorted(pool, key=lengths.__getitem__)

    @cached_property
    def _budgeted(self) -> list[list[int]]:
        """Seats of every micro-batch of at most `max_tokens`.

        How many batches a budget makes depends on who meets whom; put together once, for the longest row that may
        take each seat, their number is the same in every epoch, and only their order and the rows drawn change.
        """
        import numpy as np

        candidates, starts, sizes = self._seats
        longest = candidates[starts + sizes - 1]
        order = np.random.default_rng(self.seed).permutation(len(starts)).tolist()
        pools = [order] if self.strategy == "random" else self._pools(order, self._lengths[longest])
        batches: list[list[int]] = []
        for pool in pools:
            for seat in pool:
                fits = batches and len(batches[-1]) < self.batch_size
                if fits and self._size(longest[[*batches[-1], seat]]) <= (self.max_tokens or 0):
                    batches[-1].append(seat)
                else:
                    batches.append([seat])
        return batches

    def _size(self, rows: Sequence[int] | np.ndarray) -> int:
        lengths, passes = self._lengths[rows], self._passes[rows]
        # The passes of one row are of one length.
        return int((lengths // passes).max() * passes.sum()) if self.layout.fills else int(lengths.sum())

    @cached_property
    def _passes(self) -> np.ndarray:
        import numpy as np

        known = getattr(self.examples, "passes", None)
        return np.ones_like(self._lengths) if known is None else known

    @cached_property
    def _lengths(self) -> np.ndarray:
        return lengths(self.examples)

    @cached_property
    def _seats(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The places of an epoch: rows that may take them, where those of each seat begin, and how many they are.

        A row has a seat of its own for the whole part of its weight.  For what is left, rows of like length share
        seats, so that one that is drawn may stand where another stood; there is one seat at least.
        """
        import numpy as np

        rows = np.arange(len(self.examples))
        if self.weights is None:
            return rows, rows, np.ones_like(rows)
        weights = np.asarray(self.weights, dtype=float)
        parts: list[np.ndarray] = []
        shares: list[np.ndarray] = []
        for weight in np.unique(weights):
            members = rows[weights == weight]
            parts.append(np.repeat(members, int(weight)))
            shares.append(np.ones_like(parts[-1]))
            if weight % 1:
                shared = max(1, round((weight % 1) * len(members)))
                each, more = divmod(len(members), shared)
                parts.append(members[np.argsort(self._lengths[members], kind="stable")])
                shares.append(each + (np.arange(shared) < more))
        sizes = np.concatenate(shares)
        return np.concatenate(parts), np.cumsum(sizes) - sizes, sizes

    def _drawn(self, epoch: int) -> np.ndarray:
        """Who takes each seat in an epoch."""
        import numpy as np

        candidates, starts, sizes = self._seats
        return candidates[starts + np.random.default_rng([self.seed, epoch, 1]).integers(sizes)]

    def step(self, index: int, *, parts: int = 1) -> list[Batch]:
        """This process's micro-batches of optimiser step `index`, counted from 0 over all epochs.

        Every process has as many, and one at least: where there are too few, one that counts nothing stands in.

        Args:
            index: which step.
            parts: into how many each is cut, as far as it has rows.
        """
        if self.workers and parts == 1:
            return self._ahead(index)
        return self._make(index, parts)

    def over(self, examples: Sequence[Example], *, seed: int) -> Batches:
        """Other examples, all of them in one step of an epoch."""
        return replace(self, examples=examples, seed=seed, accumulation=max(1, len(examples)), weights=None)

    @property
    def outlook(self) -> Batches:
        """These."""
        return self

    def told(self) -> dict[str, Any]:
        """Nothing: the rows are there from the beginning."""
        return {}

    def kept(self, step: int) -> dict[str, Tensor]:
        """Nothing: all is a function of the step."""
        return {}

    def take_up(self, kept: Mapping[str, Tensor]) -> None:
        """Nothing is to be taken up."""

    def _make(self, index: int, parts: int = 1) -> list[Batch]:
        epoch, place = divmod(index, self.steps_per_epoch)
        micro = self.plan(epoch)[place * self.accumulation : (place + 1) * self.accumulation]
        cut = [
            part
            for rows in micro
            for half in chunks(rows, math.ceil(len(rows) / parts))
            for part in self._parts(half)
        ]
        which, processes = self.dealt
        turns = range(which, math.ceil(len(cut) / processes) * processes, processes)
        return [
            self._collated(cut[turn], epoch) if turn < len(cut) else self._idle(cut[0], epoch)
            for turn in turns
        ]

    def _parts(self, rows: list[int]) -> list[list[int]]:
        # Pictures have no length, and only rows of one length ask for it.
        sizes = self._lengths[rows].tolist() if self.layout is Layout.ALIKE else [0] * len(rows)
        parts = self.layout.parts(rows, sizes)
        return (
            [few for part in parts for few in within(part, self._lengths, self.room)] if self.room else parts
        )

    def _collated(self, rows: list[int], epoch: int | None = None) -> Batch:
        examples = [self.examples[row] for row in rows]
        if self.varies and epoch is not None:
            examples = [
                replace(example, chance=(self.seed, epoch, row), beside=self._beside(epoch, row))
                for example, row in zip(examples, rows, strict=True)
            ]
        return self.collate(examples, rows)

    def _beside(self, epoch: int, row: int) -> Example | None:
        if not self.mixes:
            return None
        other = Random(f"beside {self.seed} {epoch} {row}").randrange(len(self.examples))
        return replace(self.examples[other], chance=(self.seed, epoch, row, other))

    def _idle(self, rows: list[int], epoch: int) -> Batch:
        return replace(self._collated(rows, epoch), rows=[], trained=0, tokens=0, padding=0, shared=0)

    @cached_property
    def _ahead(self) -> Prefetch[list[Batch]]:
        return Prefetch(self._make, workers=self.workers)


def beside(collate: Collate, reference_NK: np.ndarray | None) -> Collate:
    """Batches that hold what a reference said of their rows (`Task.hears`).

    Args:
        collate: stacks rows.
        reference_NK: of every example; None: nobody was asked.
    """
    if reference_NK is None:
        return collate

    def stacked(examples: Sequence[Example], rows: Sequence[int]) -> Batch:
        import torch

        batch = collate(examples, rows)
        batch.extra["reference"] = torch.from_numpy(reference_NK[list(rows)])
        return batch

    return stacked


def in_order(
    examples: Sequence[Example],
    collate: Collate,
    *,
    batch_size: int,
    max_tokens: int | None = None,
    layout: Layout = Layout.PADDED,
    dealt: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Every example once, rows of like length together: for evaluation, where order does not matter.

    Args:
        examples: encoded rows.
        collate: stacks them.
        batch_size: rows in a batch, at most.
        max_tokens: tokens of a batch, at most, unless a single row has more.
        layout: which rows may be beside each other.
        dealt: which process this is and how many there are: it gets its share, and a batch without rows where the
            last round does not go round.
    """
    import numpy as np

    sizes = lengths(examples)
    order = np.argsort(sizes, kind="stable").tolist()
    parts = [
        part
        for rows in chunks(order, batch_size)
        for few in within(rows, sizes, max_tokens)
        for part in layout.parts(few, sizes[few].tolist())
    ]
    which, processes = dealt
    for turn in range(which, math.ceil(len(parts) / processes) * processes, processes):
        rows = parts[turn % len(parts)]
        batch = collate([examples[row] for row in rows], rows)
        yield batch if turn < len(parts) else replace(batch, rows=[])


def within(rows: list[int], sizes: np.ndarray, max_tokens: int | None) -> list[list[int]]:
    """Consecutive parts of at most so many tokens; all of them where nothing limits them."""
    if max_tokens is None or sizes[rows].sum() <= max_tokens:
        return [rows]
    parts: list[list[int]] = []
    room = 0
    for row in rows:
        room -= sizes[row]
        if room < 0:
            parts.append([])
            room = max_tokens - sizes[row]
        parts[-1].append(row)
    return parts


def lengths(examples: Sequence[Example]) -> np.ndarray:
    """Tokens of every example."""
    import numpy as np

    known = getattr(examples, "lengths", None)
    if known is not None:
        return known
    return np.array([len(each) if each.size is None else each.size for each in examples])


def chunks(items: list[int], size: int) -> list[list[int]]:
    """Consecutive parts of at most `size`."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def pad(sequences: Sequence[Any], value: float) -> Any:
    """Sequences of numbers of different length as one (B, T) tensor, padded on the right; int64, or floats as they are."""
    import numpy as np
    import torch

    sequences = [np.asarray(sequence) for sequence in sequences]
    kinds = {sequence.dtype for sequence in sequences if len(sequence)}
    whole = all(kind.kind in "biu" for kind in kinds)
    dtype = np.dtype(np.int64) if whole else np.result_type(*kinds)
    padded = np.full((len(sequences), max(map(len, sequences))), value, dtype=dtype)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = sequence
    return torch.from_numpy(padded)
