"""What one process computes of a step: alone, as one of several whole replicas (DDP), or with a share of every weight.

    objective = Alone | Replicas | Shards
    objective.loss(batch, trained, last=True)  ->  its part of the step's mean loss, gradients to follow
    objective.predict(batch)                   ->  one dict a row

Gradients are *summed* over the processes, because every loss is divided by the count of the whole step already.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from weitiao.core.contracts import Batch, Method, Sampling, Task
from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.models import anatomy
from weitiao.train.distributed import World
from weitiao.train.objective import Summed


class Objective(nn.Module):
    """What is minimised, as a module, so that DDP and FSDP can stand around everything that it computes."""

    def __init__(self, model: nn.Module, method: Method, task: Task, summed: Summed, *, teacher: Any = None):
        super().__init__()
        self.model, self.method, self.task, self.summed = model, method, task, summed
        # A `Loaded` is no module: nothing of it is trained, sent, or saved.
        self.teacher = teacher

    def forward(self, batch: Batch, trained: float | None, *, tallies: bool = False) -> Any:
        """The batch's part of the mean loss over `trained` things; without a number, its predictions, or what it tallies."""
        if self.teacher is not None:
            batch.extra["teacher"] = self.teacher
        if tallies:
            return self.task.tally(self.model, batch)
        if trained is None:
            return self.task.predict(self.model, batch)
        loss = self.summed(self.model, batch) / trained
        return loss + self.method.penalty(self.model) * (batch.trained / trained)


class Parallel(ABC):
    """How the objective is asked."""

    def __init__(self, objective: Objective, world: World):
        self.objective, self.world = objective, world

    @abstractmethod
    def loss(self, batch: Batch, trained: float, *, last: bool) -> Tensor:
        """The batch's part of the step's mean loss.

        Args:
            batch: a micro-batch.
            trained: how many things the loss counts in the whole step, in all processes.
            last: is it this process's last micro-batch of the step?  Then the gradients are summed over all.
        """

    def predict(self, batch: Batch) -> list[dict[str, Any]]:
        """One prediction a row."""
        return self.objective(batch, None)

    def tally(self, batch: Batch) -> tuple[float, ...]:
        """What the task needs to know of the whole step, of this batch (`Task.tally`)."""
        found: tuple[float, ...] = self.objective(batch, None, tallies=True)
        return found

    def changed(self) -> None:
        """Weights were changed by something other than a step: nothing that was computed of them counts any more."""
        return

    def whole(self, tensor: Tensor) -> Tensor:
        """A weight, a norm or a moment in full; every process must ask for it."""
        return tensor

    def share(self, tensor: Tensor, like: Tensor) -> Tensor:
        """Of a weight or a moment in full, what this process holds; `like` is its weight."""
        return tensor


class Alone(Parallel):
    """One process."""

    def loss(self, batch: Batch, trained: float, *, last: bool) -> Tensor:
        """Nothing is exchanged."""
        return self.objective(batch, trained)


class Replicas(Parallel):
    """The whole model in every process: torch's DistributedDataParallel (Li et al. 2020, arXiv 2006.15704)."""

    _around: tuple[tuple[int, ...], nn.Module] | None = None

    def loss(self, batch: Batch, trained: float, *, last: bool) -> Tensor:
        """Gradients of the last micro-batch travel while its backward pass goes on."""
        replica = self._replica(batch, trained)
        replica.require_backward_grad_sync = last
        return replica(batch, trained)

    def _replica(self, batch: Batch, trained: float) -> Any:
        # DDP fixes at its beginning which weights train; unfreezing changes them.
        trains = tuple(id(weight) for weight in self.objective.parameters() if weight.requires_grad)
        if self._around is None or self._around[0] != trains:
            replica = nn.parallel.DistributedDataParallel(
                self.objective,
                forward_sync_buffers=False,
                find_unused_parameters=not self._all_used(batch, trained),
            )
            replica.register_comm_hook(None, _sum)
            self._around = trains, replica
        return self._around[1]

    def _all_used(self, batch: Batch, trained: float) -> bool:
        """Does every weight that trains get a gradient?  A look of one pass, before the step has any gradients."""
        weights = [weight for weight in self.objective.parameters() if weight.requires_grad]
        with torch.random.fork_rng():
            self.objective(batch, trained).backward()
        unused = sum(weight.grad is None for weight in weights)
        for weight in weights:
            weight.grad = None
        return self.world.sums(unused)[0] == 0


def _sum(state, bucket):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - DDP compares annotations with classes
    work = torch.distributed.all_reduce(bucket.buffer(), async_op=True)
    return work.get_future().then(lambda done: done.value()[0])


class Shards(Parallel):
    """A share of every weight, gradient and moment in each process: FSDP2, torch's `fully_shard`."""

    def __init__(self, objective: Objective, world: World):
        super().__init__(objective, world)
        from torch.distributed.fsdp import fully_shard

        refuse_shards(objective.method, objective.task)
        for level in anatomy.blocks(objective.model):
            fully_shard(level.module)
        fully_shard(objective)
        for module in self._modules():
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo knows no scaled sum

    def _modules(self) -> list[Any]:
        from torch.distributed.fsdp import FSDPModule

        return [module for module in self.objective.modules() if isinstance(module, FSDPModule)]

    def loss(self, batch: Batch, trained: float, *, last: bool) -> Tensor:
        """Weights are gathered block by block, gradients summed and dealt after the last micro-batch."""
        whole: Any = self.objective
        whole.set_requires_gradient_sync(last)
        return self.objective(batch, trained)

    def changed(self) -> None:
        """A pass without a backward leaves the outermost weights gathered, and the next one would take them for new."""
        for module in self._modules():
            module.reshard()

    def whole(self, tensor: Tensor) -> Tensor:
        """All shares together."""
        from torch.distributed.tensor import DTensor

        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor

    def share(self, tensor: Tensor, like: Tensor) -> Tensor:
        """Cut where `like` is cut; a counter stays whole."""
        from torch.distributed.tensor import DTensor, distribute_tensor

        if not isinstance(like, DTensor) or tensor.shape != like.shape:
            return tensor
        # Everybody has read the same file, so nothing need be sent.
        return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def refuse_shards(method: Method, task: Task) -> None:
    """What changes weights between steps, or looks at the base, needs whole weights.

    Raises:
        WeitiaoError: `no_such_pair`.
    """
    contract = type(method)
    moves = contract.before_step is not Method.before_step or contract.after_step is not Method.after_step
    why = reason("changes_weights") if moves else ""
    why = why or (reason("base_is_packed") if method.base_bits == 4 else "")
    if isinstance(task, Sampling):
        why = reason("learns_from_drawn")
    if why:
        name = contract.__name__.lower()
        way = reason("take_ddp")
        raise fault("no_such_pair", method=name, task="train.data_parallel=fsdp", why=why, way=way)


def parallel(objective: Objective, world: World, *, shards: bool) -> Parallel:
    """The way for this number of processes."""
    if world.size == 1:
        return Alone(objective, world)
    return Shards(objective, world) if shards else Replicas(objective, world)
