"""The frozen trunk computed once: what enters the first block that learns, kept on disk and read in every epoch.

    whole pass:   ids -> embeddings -> [block 1 ... block k] -> block k + 1 ... n -> head
    kept:         rows of the batch -> hidden states of the file -> block k + 1 ... n -> head

The k lowest blocks are the trunk (`models.trunk`): nothing in them, and nothing that they hear of, trains.  The loop
knows nothing of it: while it asks for the loss of training rows, or for predictions of validation rows, stand-ins are
in the model; before and after, the model is whole.

What holds (docs/frozen-trunk.md): nothing drops out in the trunk; in float32 the hidden states are those of a whole
pass up to the rounding of products of another shape; in half precision they are rounded to bfloat16 once more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from weitiao.core.contracts import Batch, Example, Method, Sampling, Task
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.files import disk
from weitiao.core.run import RunFolder
from weitiao.core.sections import Train
from weitiao.core.why import reason
from weitiao.data.pack import Batches, in_order, lengths
from weitiao.models import seeing, trunk
from weitiao.models.precision import autocast
from weitiao.models.trunk import Trunk
from weitiao.train.loop import Training, Watcher
from weitiao.train.parallel import Parallel

KEY = "cache_frozen_trunk"


def why_not(training: Training) -> str:
    """Why the settings, the method or the task forbid to keep the trunk's output; empty when they do not."""
    settings = training.settings
    asked = settings.cache_frozen_trunk is True
    kinds = {
        "one_epoch": not asked and training.total <= training.batches.steps_per_epoch,
        "trunk_dropout": not asked and bool(settings.dropout),
        "trunk_processes": training.world.size > 1,
    }
    if found := next((reason(kind) for kind, holds in kinds.items() if holds), ""):
        return found
    return _forbidden(settings, training.task, training.method, training.model)


def _forbidden(settings: Train, task: Task, method: Method, model: nn.Module) -> str:
    hooks = ("before_step", "after_step", "after_evaluation")
    kinds = {
        "trunk_noise": settings.neftune_noise_alpha > 0,
        "trunk_r_drop": settings.r_drop_alpha > 0,
        "trunk_compiled": settings.torch_compile,
        "learns_from_drawn": isinstance(task, Sampling),
        "texts_apart": task.apart,
        "rows_vary": task.varies,
        "pictures_beside_words": bool(task.seeing_class) and seeing.sees(model.config),
        "loss_hears_body": task.tallies and not task.reads_words,
        "trunk_method": any(getattr(type(method), hook) is not getattr(Method, hook) for hook in hooks),
        "encoder_and_decoder": bool(getattr(model.config, "is_encoder_decoder", False)),
    }
    return next((reason(kind) for kind, holds in kinds.items() if holds), "")


def refuse_unfit(settings: Train, task: Task, method: Method, model: nn.Module) -> None:
    """What forbids a trunk that the recipe insists on, as far as settings and the names of what trains tell.

    Args:
        settings: of the recipe.
        task: what is learnt.
        method: what trains.
        model: with the method's modules in it; its weights are not looked at.

    Raises:
        WeitiaoError: `unfit_training`.
    """
    if settings.cache_frozen_trunk is True:
        trains = trunk.lowest_trains if task.reads_words else trunk.body_trains
        why = _forbidden(settings, task, method, model) or trains(model)
        if why:
            raise _unfit(why)


def _unfit(why: str) -> WeitiaoError:
    return fault("unfit_training", key=KEY, value=True, why=why, way=reason("leave_or_auto", key=KEY))


class States:
    """Hidden states of every token of some examples, in a memory-mapped file that no other process writes."""

    def __init__(
        self,
        path: Path,
        examples: Sequence[Example],
        *,
        width: int,
        dtype: torch.dtype,
        ids_N: Tensor | None = None,
    ):
        """A new file; that of another run where the tokens of its rows are given (N,)."""
        self.path, self.examples, self.lent = path, examples, ids_N is not None
        self.sizes = lengths(examples)
        self.starts = np.cumsum(self.sizes) - self.sizes
        tokens = int(self.sizes.sum())
        self.bytes = tokens * width * dtype.itemsize
        if not self.lent:
            # Anew, whatever lies there: a run that was killed may have left states of other rows or weights.
            path.unlink(missing_ok=True)
            with disk(path, needed_bytes=self.bytes), path.open("wb") as file:
                if tokens:
                    _reserve(file.fileno(), self.bytes)
        if tokens:
            flat = torch.from_file(str(path), shared=not self.lent, size=tokens * width, dtype=dtype)
        else:
            flat = torch.empty(0, dtype=dtype)
        self.states_ND: Tensor = flat.view(tokens, width)
        self.ids_N = torch.full((tokens,), -1, dtype=torch.int64) if ids_N is None else ids_N

    def keep(self, batch: Batch, states_BTD: Tensor) -> None:
        """The states of a batch's rows."""
        where_N, real_BT = self._where(batch.rows), _real(batch)
        self.states_ND[where_N] = states_BTD[real_BT].to("cpu", self.states_ND.dtype)
        self.ids_N[where_N] = _ids(batch)[real_BT].cpu()

    def of(self, batch: Batch, *, dtype: torch.dtype) -> Tensor | None:
        """The states (B, T, D) of a batch, 0 where there is padding; None when its tokens are not those kept."""
        if not batch.rows:
            return None
        ids_BT = _ids(batch)
        where_N, real_BT = self._where(batch.rows), _real(batch)
        ids_N = ids_BT[real_BT].cpu()
        if len(ids_N) != len(where_N) or not torch.equal(ids_N, self.ids_N[where_N]):
            return None
        states_ND = self.states_ND[where_N].to(ids_BT.device, dtype)
        if bool(real_BT.all()):
            return states_ND.view(*ids_BT.shape, -1)
        states_BTD = states_ND.new_zeros(*ids_BT.shape, states_ND.shape[-1])
        states_BTD[real_BT] = states_ND
        return states_BTD

    def _where(self, rows: Sequence[int]) -> Tensor:
        """Places in the file of all tokens of these rows, one row after the other."""
        sizes = self.sizes[rows]
        ends = np.cumsum(sizes)
        return torch.from_numpy(np.arange(ends[-1]) + np.repeat(self.starts[rows] - ends + sizes, sizes))

    def remove(self) -> None:
        """The file goes, unless others read it."""
        del self.states_ND  # some systems do not remove what is mapped
        if not self.lent:
            self.path.unlink(missing_ok=True)


def _reserve(file: int, size: int) -> None:
    """The whole file at once: a disk that fills up while mapped memory is written would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)


def _ids(batch: Batch) -> Tensor:
    """By what rows are known again: their tokens (B, T), or a number of all that a picture holds, (B, 1)."""
    if (ids_BT := batch.inputs.get("input_ids")) is not None:
        return ids_BT
    pixels_BP = next(iter(batch.inputs.values())).float().flatten(1).view(torch.int32).long()
    # Sums of integers, weighed by their places: the same in whatever order they are added, other ones for a mirrored picture.
    odd_P = torch.arange(pixels_BP.shape[1], device=pixels_BP.device) * 2 + 1
    return (pixels_BP * odd_P).sum(1, keepdim=True)


def _real(batch: Batch) -> Tensor:
    """Which places of (B, T) hold tokens; all of them where rows lie end to end."""
    ids_BT, mask_BT = _ids(batch), batch.inputs.get("attention_mask")
    return torch.ones_like(ids_BT, dtype=torch.bool) if mask_BT is None else mask_BT.bool()


class FromTrunk(Parallel):
    """Losses of training rows and predictions of validation rows begin with the states that were kept."""

    def __init__(self, inner: Parallel, below: Trunk, train: States, validation: States):
        super().__init__(inner.objective, inner.world)
        self.inner, self.below, self.train, self.validation = inner, below, train, validation

    def loss(self, batch: Batch, trained: float, *, last: bool) -> Tensor:
        """Of a batch of training rows."""
        with self._begun(batch, self.train):
            return self.inner.loss(batch, trained, last=last)

    def predict(self, batch: Batch) -> list[dict[str, Any]]:
        """Of a batch of validation rows."""
        with self._begun(batch, self.validation):
            return self.inner.predict(batch)

    @contextmanager
    def _begun(self, batch: Batch, kept: States) -> Iterator[None]:
        # Rows whose tokens are not those that were kept go through the whole model.
        with ExitStack() as held:
            if (states_BTD := kept.of(batch, dtype=self.below.dtype)) is not None:
                held.enter_context(self.below.standing_in(states_BTD))
            yield


@dataclass
class FrozenTrunk(Watcher):
    """Computes the trunk before the first step, and lets the loop begin with what was kept."""

    run: RunFolder
    validation: Sequence[Example]
    tell: Callable[..., None]
    shared: Path | None = None
    """Where runs of one study keep it for each other; None: it goes with the run."""

    @contextmanager
    def around(self, training: Training) -> Iterator[None]:
        """Files and stand-ins for as long as the loop runs.

        Raises:
            WeitiaoError: `unfit_training` when the recipe insists on what cannot be; `disk_full`.
        """
        asked = training.settings.cache_frozen_trunk
        found, why = _trunk(training) if asked else (None, f"train.{KEY}=false")
        fact = {"event": "frozen_trunk", "step": training.state.step, "kept": found is not None}
        if found is None:
            if asked is True:
                raise _unfit(why)
            self.run.log(**fact, why=why)
            yield
            return
        kept: list[States] = []
        inner, dtype = training.objective, torch.bfloat16 if training.half else torch.float32
        try:
            started, made = time.perf_counter(), True
            for name, examples in (("train", _batches(training).examples), ("validation", self.validation)):
                make = partial(_made, examples, found, training, dtype=dtype)
                if self.shared is None:
                    kept.append(make(self.run.path / f".frozen-trunk-{name}.tmp"))
                else:
                    states, made = _lent(self.shared, make, examples, found, training, dtype=dtype)
                    kept.append(states)
            seconds, mb = time.perf_counter() - started, sum(states.bytes for states in kept) / 1e6
            self.run.log(**fact, blocks=found.blocks, mb=mb, seconds=seconds, made=made)
            who = (
                f"the lowest {found.blocks} of {found.of} blocks are" if found.of else "all below the head is"
            )
            text = (
                f"{who} frozen: what comes out is computed once and kept while training lasts ({mb:.1f} MB); "
                f"nothing drops out there (train.{KEY}=false: as in every step)"
            )
            self.tell("notice", text=text)
            training.objective = FromTrunk(inner, found, *kept)
            yield
        finally:
            training.objective = inner
            for states in kept:
                states.remove()


def _batches(training: Training) -> Batches:
    """Rows that are there from the beginning: `why_not` saw to it."""
    return cast(Batches, training.batches)


def _trunk(training: Training) -> tuple[Trunk | None, str]:
    """The trunk, if there is one that may be kept; else why not."""
    if why := why_not(training):
        return None, why
    examples = _batches(training).examples
    sizes = lengths(examples)
    few = sorted({int(sizes.argmin()), int(sizes.argmax())})
    rows = _batches(training).layout.parts(few, sizes[few].tolist())[-1]
    batch = _batches(training).collate([examples[row] for row in rows], rows).to(training.device)
    training.model.eval()
    try:
        with autocast(training.device, training.half):
            ask = partial(training.task.predict, training.model, batch)
            if not training.task.reads_words:
                return trunk.whole_body(training.model, ask), ""
            return trunk.find(training.model, ask, _real(batch)), ""
    except trunk.NoTrunk as none:
        return None, str(none)


def _lent(
    folder: Path,
    make: Callable[[Path], States],
    examples: Sequence[Example],
    found: Trunk,
    training: Training,
    *,
    dtype: torch.dtype,
) -> tuple[States, bool]:
    """States that a run of the same study has made, or that are made for it now, and which of the two."""
    from weitiao.train import trunk_shared

    settings, batches = training.settings, _batches(training)
    facts = [found.blocks, found.of, str(dtype), settings.per_device_eval_batch_size, batches.layout.name]
    facts += [training.device.partition(":")[0], training.half]
    print_ = trunk_shared.print_of(training.model, examples, type(training.task), *facts)
    path, ids_N, made = trunk_shared.shared(folder, print_, lambda path: make(path).ids_N)
    return States(path, examples, width=found.width, dtype=dtype, ids_N=ids_N), made


def _made(
    examples: Sequence[Example], found: Trunk, training: Training, path: Path, *, dtype: torch.dtype
) -> States:
    """Every row once through the trunk."""
    kept = States(path, examples, width=found.width, dtype=dtype)
    model, batches = training.model.eval(), _batches(training)
    size = training.settings.per_device_eval_batch_size
    with torch.no_grad(), autocast(training.device, training.half):
        for batch in in_order(kept.examples, batches.collate, batch_size=size, layout=batches.layout):
            batch = batch.to(training.device)
            kept.keep(batch, found.reach(partial(training.task.predict, model, batch)))
    return kept
