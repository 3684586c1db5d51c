"""What a step of training holds at most, by kind, found without computing it.

    step(fake, method, task, settings, batch)      ->  Footprint(weights, master, gradients, optimizer, activations)
    predicting(fake, task, settings, batch)        ->  the same of a batch that is only predicted
    gone_through(fake, half, call)                 ->  what is alive while a model is asked anything, and what that computes

Every operation of the step is gone through on a model of shapes (`forecast.fake_model`), and the bytes of all tensors that
are alive at once are counted: what autograd keeps, what recomputation spares, copies that autocast makes, logits.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakIdKeyDictionary

from weitiao.core.contracts import Batch, Method, Task
from weitiao.core.recipe import Train
from weitiao.forecast.fake_model import FakeModel
from weitiao.models import anatomy
from weitiao.models.load import Loaded
from weitiao.models.precision import Half, autocast
from weitiao.train.objective import summed
from weitiao.train.optim.groups import hidden_matrices
from weitiao.train.pace import Work

FLOAT32 = 4  # bytes
PIECES = 0.2
"""What glibc's malloc keeps beside tensors that are alive, in shares of the activations: measured 0.1 to 0.3
(`benchmarks/plan.py`; with every tensor in a mapping of its own, `MALLOC_MMAP_THRESHOLD_=1000000`, it is 0)."""
FEWER_PIECES = 0.1
"""The same with recomputed activations, where larger tensors are mapped by themselves (`memory.saving`)."""
SMALLEST_8BIT = 4096
"""Numbers of a weight below which bitsandbytes keeps its moments in float32 (`min_8bit_size`)."""
BLOCK_8BIT = 256
"""Numbers that share one scale in its 8-bit moments."""

RIDGE = 16
"""Operations a byte below which a product waits for its numbers, as that of few rows with a whole layer does (the ridge point
of the roofline model: about 10 on CPUs)."""


@dataclass(frozen=True)
class Footprint:
    """Bytes held at the highest point of a pass."""

    weights: int = 0
    """What products read: frozen weights as they are stored, trained ones, or their half-precision copies."""
    master: int = 0
    """Trained weights in float32 where products read half-precision copies of them; else 0, and they are in `weights`."""
    others: int = 0
    """Models beside the one that is tuned: a reference, a teacher, those that rate answers; copies of weights."""
    gradients: int = 0
    optimizer: int = 0
    """The optimiser's moments, and the average of the weights where one is kept."""
    activations: int = 0
    """All else that is alive at the highest point: what backward needs, and what is being computed."""
    allocator: int = 0
    """Freed memory in pieces that cannot be used again (main memory alone)."""
    work: Work = Work()
    """What the pass computes; no bytes."""

    @property
    def total(self) -> int:
        """All of it."""
        return sum(getattr(self, field.name) for field in fields(self) if field.name != "work")


class Alive(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive, by what they are; views count once."""

    def __init__(self, trained: Mapping[str, nn.Parameter]):
        super().__init__()
        self.now: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.work = Work()
        self._known: Any = WeakIdKeyDictionary()
        self._trained = {weight.untyped_storage()._cdata for weight in trained.values()}

    def note(self, tensor: Tensor, kind: str) -> None:
        """A tensor that may be new."""
        memory = tensor.untyped_storage()
        if memory in self._known:
            return
        size = memory.nbytes()
        self._known[memory] = kind
        self.now[kind] += size
        weakref.finalize(memory, self._gone, kind, size)
        if self.now.total() > self.peak.total():
            self.peak = self.now.copy()

    def _gone(self, kind: str, size: int) -> None:
        self.now[kind] -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What comes out of an operation is alive from here on."""
        out = func(*args, **(kwargs or {}))
        self.work += _work(func, args, kwargs or {}, out)
        cast = func is torch.ops.aten._to_copy.default and args[0].untyped_storage()._cdata in self._trained
        for tensor in tree_iter(out):
            if isinstance(tensor, Tensor):
                self.note(tensor, "copies" if cast else "activations")
        return out


def _work(func: Any, args: Any, kwargs: Any, out: Any) -> Work:
    name = func.overloadpacket.__name__
    # A product into a tensor that is there (`addmm_`) is one like any other, and torch's table leaves it out.
    packets = (func.overloadpacket, getattr(torch.ops.aten, name.removesuffix("_"), None))
    formula = next((flop_registry[packet] for packet in packets if packet in flop_registry), None)
    if func.namespace == "prim":  # a question about a tensor
        return Work()
    if func.is_view or name == "_unsafe_view":
        return Work(operations=1)
    tensors = (each for each in tree_iter((args, kwargs, out)) if isinstance(each, Tensor))
    moved = sum(each.numel() * each.element_size() for each in tensors)
    flops = formula(*args, **kwargs, out_val=out) if formula else 0.0
    return Work(flops, moved if flops < RIDGE * moved else 0.0, operations=1)


def step(
    fake: FakeModel,
    method: Method,
    task: Task,
    settings: Train,
    batch: Batch,
    *,
    teacher: FakeModel | None = None,
) -> Footprint:
    """The highest point of an optimiser step whose micro-batches are all like `batch`.

    Args:
        fake: the model.
        method: what trains.
        task: what is learnt.
        settings: the recipe's section, resolved.
        batch: the heaviest micro-batch.
        teacher: who is asked in the loss; its weights are no part of what is found.
    """
    model, loss_of = fake.loaded.model, summed(task, settings)
    if settings.activation_checkpointing:
        anatomy.recompute(model)
    model.train()
    alive = _begun(fake, _taught(batch, teacher))
    with fake.mode, alive:
        if settings.gradient_accumulation_steps > 1:  # a later micro-batch finds the gradients of the first
            for weight in fake.loaded.trained.values():
                weight.grad = torch.empty_like(weight)
        with autocast(_device(fake), settings.half):
            loss = loss_of(model, batch) / batch.trained + method.penalty(model)
        loss.backward()
        del loss
    model.zero_grad(set_to_none=True)
    if settings.activation_checkpointing:
        model.activation_checkpointing_disable()
    return _found(alive, fake, settings, gradients=True)


def predicting(
    fake: FakeModel, task: Task, settings: Train, batch: Batch, *, teacher: FakeModel | None = None
) -> Footprint:
    """The highest point while a batch of validation rows is asked, between two steps; arguments as those of `step`."""
    model, beside = fake.loaded.model, _taught(batch, teacher)
    alive = gone_through(
        fake,
        settings.half,
        lambda: task.loss(model, batch) if task.generates else model(**batch.inputs),
        beside=beside,
    )
    return _found(alive, fake, settings, gradients=False)


def gone_through(
    fake: FakeModel, half: Half | None, call: Callable[[], object], *, beside: nn.Module | None = None
) -> Alive:
    """What is alive while a model is asked something, in evaluation mode and without gradients.

    Args:
        fake: the model.
        half: what products are computed in.
        call: asks it.
        beside: another model that is asked, too.
    """
    fake.loaded.model.eval()
    alive = _begun(fake, beside)
    with fake.mode, alive, torch.no_grad(), autocast(_device(fake), half):
        call()
    return alive


def _device(fake: FakeModel) -> str:
    return next(fake.loaded.model.parameters()).device.type


def _taught(batch: Batch, teacher: FakeModel | None) -> nn.Module | None:
    """The teacher's module, which the batch now has."""
    if teacher is None:
        return None
    batch.extra["teacher"] = teacher.loaded
    found: nn.Module = teacher.loaded.model.eval()
    return found


def _begun(fake: FakeModel, beside: nn.Module | None = None) -> Alive:
    model, trained = fake.loaded.model, fake.loaded.trained
    alive = Alive(trained)
    for weight in (*beside.parameters(), *beside.buffers()) if beside else ():
        alive.note(weight, "others")
    for name, weight in model.named_parameters():
        alive.note(weight, "trained" if name in trained else "frozen")
    for buffer in model.buffers():
        alive.note(buffer, "frozen")
    return alive


def _found(alive: Alive, fake: FakeModel, settings: Train, *, gradients: bool) -> Footprint:
    loaded, peak = fake.loaded, alive.peak
    trained = trained_bytes(loaded)
    backs = trained if gradients else 0
    mixed = settings.half is not None
    # Some gradients are there at the highest point, and all behind it.
    activations = max(0, peak["activations"] - backs)
    return Footprint(
        weights=peak["frozen"] + peak["copies"] + (0 if mixed else peak["trained"]),
        master=peak["trained"] if mixed else 0,
        gradients=backs,
        optimizer=kept_bytes(loaded, settings) - trained,
        activations=activations,
        allocator=pieces(activations, settings, _device(fake)),
        work=alive.work,
    )


def pieces(activations: int, settings: Train, device: str) -> int:
    """What the allocator keeps beside tensors that are alive."""
    share = FEWER_PIECES if settings.activation_checkpointing else PIECES
    return round(share * activations) if device == "cpu" else 0


def trained_bytes(loaded: Loaded) -> int:
    """All that trains, in float32."""
    return _bytes(loaded.trained)


def tuned_bytes(loaded: Loaded) -> int:
    """The same as far as the tuned model has it."""
    return _bytes(loaded.tuned)


def _bytes(weights: Mapping[str, nn.Parameter]) -> int:
    return sum(weight.numel() for weight in weights.values()) * FLOAT32


def kept_bytes(loaded: Loaded, settings: Train) -> int:
    """A checkpoint: all that trains, its moments, and its average where one is kept."""
    own = trained_bytes(loaded)
    return own + moments(loaded.model, loaded.trained, settings) + (own if settings.ema_decay else 0)


def moments(model: nn.Module, trained: Mapping[str, nn.Parameter], settings: Train) -> int:
    """Bytes that the optimiser keeps between two steps."""
    hidden = hidden_matrices(model, trained) if settings.optim == "muon" else frozenset()
    return sum(_moments(settings, weight.shape, matrix=name in hidden) for name, weight in trained.items())


def _moments(settings: Train, shape: torch.Size, *, matrix: bool) -> int:
    count = shape.numel()
    if settings.optim == "sgd":
        return count * FLOAT32 if settings.momentum else 0
    if settings.optim == "lion" or matrix:
        return count * FLOAT32
    if settings.optim == "adafactor":
        return (count // shape[-1] + count // shape[-2] if len(shape) > 1 else count) * FLOAT32
    if settings.optim == "adamw_8bit" and count >= SMALLEST_8BIT:
        return 2 * (count + -(-count // BLOCK_8BIT) * FLOAT32)
    return 2 * count * FLOAT32
