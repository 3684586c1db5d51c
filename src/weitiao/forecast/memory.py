"""What every stage of a run holds at most, found on a model of shapes: no weight is loaded, nothing is computed.

    Forecast(recipe, task, method).stages(train=batch, evaluate=batch)  ->  {"load": Footprint(...), "train": ..., ...}

The figures are bytes of tensors on the device, in one process; the program itself comes on top.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from operator import mul
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Batch, Example, Method, Task
from weitiao.core.errors import fault
from weitiao.core.recipe import Recipe, Train

if TYPE_CHECKING:
    from weitiao.data.pack import Batches
    from weitiao.forecast.fake_model import FakeModel
    from weitiao.forecast.step_memory import Footprint
    from weitiao.models.assets.fetch import Progress
    from weitiao.models.examine import Examined
    from weitiao.models.load import Loaded

KERNELS = 100_000_000
"""Bytes that torch's code takes on a CPU once it computes: its pages, and what oneDNN compiles for every shape (measured
30 MB behind a step, 120 MB behind 150 steps of rows of many lengths)."""


@dataclass
class Forecast:
    """Asks a model of shapes what a recipe would hold."""

    recipe: Recipe
    """Resolved."""
    task: Task
    """With what the data taught it."""
    method: Method
    device: str = "cpu"
    processes: int = 1
    progress: Progress | None = None
    attention: str | None = None
    """The attention function that the loaded model has; None: as a small model of its kind was found to need, or the first
    that its code takes."""

    @cached_property
    def examined(self) -> Examined | None:
        """How rows will lie, as a small model of its kind says; None where it cannot be made small.

        Raises:
            WeitiaoError: `not_causal`, `model_fails`, `fails_so`.
        """
        from weitiao.models import miniature
        from weitiao.train import memory

        settings = self.recipe.train
        found = miniature.examined(
            self.recipe.model,
            self.task,
            half=settings.half,
            recomputes=settings.activation_checkpointing,
            longest=self.recipe.data.max_length,
            device=self.device,
        )
        memory.trim()
        return found

    @property
    def notices(self) -> list[str]:
        """What of the files is left out, and how rows will lie, where it is not as the task has them, or not known."""
        from weitiao.models import examine, load

        ref, packs = self.recipe.model, self.task.packs
        left_out = load.refuse_unsuitable(ref, self.task)
        if self.examined:
            return [*left_out, *self.examined.notices(ref, packs=packs)]
        return [*left_out, examine.unknown(ref, packs=packs)]

    @cached_property
    def fake(self) -> FakeModel:
        """The model as it is trained."""
        from weitiao.forecast import fake_model
        from weitiao.models import examine, store

        device = self.device.partition(":")[0]

        small = None if self.attention else self.examined

        def filled(attention: str) -> FakeModel:
            bare = self._skeleton(attention)
            if small:
                bare.layout = small.layout
            # Rows that vectors are put before share nothing; what else a method puts in is taken to change nothing there.
            bare.shares = (small is None or small.shares) and not self.method.positions
            store.prepare(bare, self.method, seed=self.recipe.seed, task=self.task)
            return fake_model.fill(bare, self.task, self.method, half=self.recipe.train.half, device=device)

        known = [self.attention] if self.attention else examine.attentions(self.task, device)
        with self._gone_through():
            return examine.first([small.attention] if small else known, filled)

    def _skeleton(self, attention: str | None = None) -> Loaded:
        from weitiao.models import load

        return load.skeleton(
            self.recipe.model,
            self.task,
            dropout=self.recipe.train.dropout,
            attention=attention or self.attention,
            progress=self.progress,
        )

    def stages(self, *, train: Batch, evaluate: Batch) -> dict[str, Footprint]:
        """Stage -> what it holds, in the order of a run: load, train, evaluate, save, merge (where methods fold).

        Args:
            train: the heaviest micro-batch of training.
            evaluate: the heaviest batch of rows that are only predicted.
        """
        found = {"load": self.load(), "train": self.train(train), "evaluate": self.evaluate(evaluate)}
        found["save"] = replace(found["train"], gradients=0, activations=0, allocator=0)
        if self.method.foldable:
            merged = _plain(self._base_bytes[0], activations=self._read_bytes)
            found["merge"] = replace(merged, master=self.trained_bytes)
        return found

    def load(self) -> Footprint:
        """The base as it is read: in float32 with its files beside it where they are another form, or packed into 4 bits;
        or what does not train as it is stored, and one layer after the other in float32 while it is examined."""
        from weitiao.models import store

        source, half = self.fake.loaded.source, self.recipe.train.half
        weights, _ = self._base_bytes
        frozen = _bytes(self.fake.loaded.model) - self.trained_bytes
        if self.method.base_bits == 4:
            return _plain(frozen, activations=self._read_bytes)
        if store.reads_halves(source, half, self.method):
            return _plain(frozen, activations=self._widest_bytes)
        return _plain(weights, activations=self._read_bytes)

    def train(self, batch: Batch, settings: Train | None = None) -> Footprint:
        """A step whose micro-batches are all like `batch`; `settings` instead of the recipe's."""
        from weitiao.forecast import step_memory
        from weitiao.models.quiet import quiet

        settings = settings or self.recipe.train
        # Transformers would say that recomputation needs no cache.
        with quiet(), self._gone_through():
            return self._dealt(step_memory.step(self.fake, self.method, self.task, settings, batch))

    def evaluate(self, batch: Batch) -> Footprint:
        """The validation rows between two steps, or the locked rows behind the last one: whichever holds more."""
        from weitiao.forecast import step_memory
        from weitiao.models import store

        with self._gone_through():
            between = self._dealt(step_memory.predicting(self.fake, self.task, self.recipe.train, batch))
        whole, used = self._base_bytes
        # A whole model is read back without the method's modules, and cast.
        tuned = used if self.method.layout == "pretrained" else _bytes(self.fake.loaded.model)
        judged = _plain(tuned, activations=between.activations)
        if self.recipe.evaluate.untuned and self.method.layout == "pretrained":
            # An adapter is turned off; here the tuned model is kept while the untuned one is loaded, whole, and then cast.
            opened = whole + self._read_bytes
            if store.reads_halves(self.fake.loaded.source, self.recipe.train.half):
                opened = used + self._widest_bytes
            most = max(opened, used + between.activations)
            judged = _plain(tuned + used, activations=most - used)
        return max(between, judged, key=lambda each: each.total)

    @property
    def kept_bytes(self) -> int:
        """A checkpoint."""
        from weitiao.forecast.step_memory import kept_bytes

        return kept_bytes(self.fake.loaded, self.recipe.train)

    @property
    def saved_bytes(self) -> int:
        """The tuned model in the run folder."""
        from weitiao.forecast.step_memory import tuned_bytes
        from weitiao.models import stored

        if self.method.layout != "pretrained":
            return tuned_bytes(self.fake.loaded)
        return self._base_bytes[0] // (1 if stored.precision(self.fake.loaded.source) == "float32" else 2)

    @property
    def trained_bytes(self) -> int:
        """All that trains, in float32."""
        from weitiao.forecast.step_memory import trained_bytes

        return trained_bytes(self.fake.loaded)

    @cached_property
    def _base_bytes(self) -> tuple[int, int]:
        """The base with the task's head: in float32, and as it is asked for predictions."""
        from weitiao.models.anatomy import cast_frozen

        model = self._skeleton().model.requires_grad_(False)
        whole = _bytes(model)
        if half := self.recipe.train.half:
            cast_frozen(model, half)
        return whole, _bytes(model)

    @cached_property
    def _read_bytes(self) -> int:
        """The base's files, where their numbers are not float32: they are in memory beside what is made of them."""
        from weitiao.models import stored

        parts = stored.kinds(self.fake.loaded.source).values()
        return sum(count * stored.WIDTHS.get(kind, 0) for kind, count in parts if kind != "F32")

    @property
    def _widest_bytes(self) -> int:
        """The largest weight, in float32."""
        return 4 * max(weight.numel() for weight in self.fake.loaded.model.parameters())

    @contextmanager
    def _gone_through(self) -> Iterator[None]:
        """Some families decide by their numbers how large a tensor is (X-MOD), and here there are none.

        Raises:
            WeitiaoError: `no_forecast`.
        """
        try:
            yield
        except RuntimeError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise fault("no_forecast", ref=self.recipe.model, why=lines[0]) from error

    def _dealt(self, found: Footprint) -> Footprint:
        """What one of several processes holds of it."""
        if self.processes == 1:
            return found
        if self.recipe.train.data_parallel == "ddp":
            # Gradients are summed in buckets beside them (torch's DistributedDataParallel).
            return replace(found, gradients=2 * found.gradients)
        shares = {
            name: -(-getattr(found, name) // self.processes)
            for name in ("weights", "master", "gradients", "optimizer")
        }
        return replace(found, **shares)


def _plain(weights: int, *, activations: int = 0) -> Footprint:
    from weitiao.forecast.step_memory import Footprint

    return Footprint(weights=weights, activations=activations)


def _bytes(model: Any) -> int:
    """Of all weights and buffers; shared ones once."""
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


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
