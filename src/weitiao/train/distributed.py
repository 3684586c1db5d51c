"""Several processes on one run, started by `weitiao train --nproc` or by plain `torchrun`.

    with joined() as world:                  every process: which one it is, and how many there are
        world.together(prepare)              process 0 does it, all have it

The micro-batches of a step are dealt to the processes like cards, and the sum of all their losses is divided by the
count of the whole step.  So two processes do what one does with twice the accumulation, and the order of the rows
hangs on neither.  Process 0 alone reads the data, writes and speaks; what it finds wrong is raised in all.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from weitiao.core.errors import WeitiaoError, fault

T = TypeVar("T")
# Process 0 reads and encodes, and at the end judges, while the others wait for it: however long that takes.
PATIENCE = timedelta(days=2)
FAREWELL = timedelta(seconds=30)
# What gloo and NCCL say when the other end is gone.
LOST = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "remote process exited",
    "NCCL",
)


@dataclass(frozen=True)
class World:
    """The processes of a run, as one of them sees them; alone, everything here is free."""

    rank: int = 0
    """Which process this is."""
    size: int = 1
    """How many there are."""

    @property
    def first(self) -> bool:
        """Is it the one that writes and speaks?"""
        return self.rank == 0

    @property
    def several_machines(self) -> bool:
        """Do the processes run on more than one machine?"""
        return self.size > int(os.environ.get("LOCAL_WORLD_SIZE", self.size))

    def sums(self, *values: float) -> list[float]:
        """Each value, summed over all processes."""
        if self.size == 1:
            return list(values)
        import torch

        found = torch.tensor(values, dtype=torch.float64)
        torch.distributed.all_reduce(found)
        return found.tolist()

    def gather(self, value: T) -> list[T]:
        """Everybody's value, in order of rank."""
        if self.size == 1:
            return [value]
        import torch

        found: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(found, value)
        return found

    def agree(self, word: str) -> str:
        """What anybody says, if anybody says something; the lowest rank is heard first."""
        if self.size == 1 or not self.sums(float(bool(word)))[0]:
            return word
        return next(said for said in self.gather(word) if said)

    def together(self, make: Callable[[], T]) -> T:
        """What process 0 makes, for all of them; what it raises, all of them raise.

        Args:
            make: asked of process 0 alone; what it gives must pickle.
        """
        if self.size == 1:
            return make()
        import torch

        said: list[Any] = [None, None]
        failure: Exception | None = None
        if self.first:
            try:
                said[0] = make()
            except Exception as error:  # whatever it is: the others wait for word of it
                failure, said[1] = error, Told.of(error)
        torch.distributed.broadcast_object_list(said, src=0)
        if failure is not None:
            raise failure
        if said[1]:
            raise said[1].error()
        return said[0]

    def all_or_none(self, make: Callable[[], None]) -> None:
        """What everybody does; what one of them raises, all of them raise."""
        failure: Exception | None = None
        try:
            make()
        except Exception as error:  # whatever it is: the others wait for word of it
            failure = error
        said = self.gather(Told.of(failure) if failure else None)
        if failure is not None:
            raise failure
        for portable in filter(None, said):
            raise portable.error()


@dataclass(frozen=True)
class Told:
    """An error on its way to another process: an exception with a cause and a traceback does not pickle."""

    code: str
    values: Mapping[str, str]

    def error(self) -> WeitiaoError:
        """The same error there."""
        return fault(self.code, **self.values)

    @classmethod
    def of(cls, error: Exception) -> Told:
        """One without a code is a fault of ours."""
        if isinstance(error, WeitiaoError):
            return cls(error.code, {name: str(value) for name, value in error.values.items()})
        return cls("internal", {"kind": type(error).__name__, "why": str(error)})


def leads() -> bool:
    """Is this process alone, or the first of those that torchrun started?"""
    return int(os.environ.get("RANK", 0)) == 0


def restarted() -> bool:
    """Has torchrun started this process anew, after one of the run's processes died?"""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0


@contextmanager
def joined() -> Iterator[World]:
    """Join the other processes, if torchrun's variables say that there are some."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        yield World()
        return
    import torch

    from weitiao.models.load import pick_device

    device = pick_device()

    if os.environ.get("LOCAL_WORLD_SIZE") == str(size) and Path("/sys/class/net/lo").exists():
        # On one machine; a machine's own name may point to an interface that is down.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.set_device(device)
    store, rank, size = next(torch.distributed.rendezvous("env://", timeout=PATIENCE))
    store = torch.distributed.PrefixStore(_own_part(store, rank, size), store)
    # What is said goes over gloo on the CPU, gradients on a GPU over NCCL.
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield World(rank, size)
        _take_leave(store, size)
    except RuntimeError as error:
        if not any(word in str(error) for word in LOST):
            raise
        raise fault("process_lost", why=str(error).splitlines()[0]) from error
    finally:
        torch.distributed.destroy_process_group()
        _settle()


def _own_part(store: Any, rank: int, size: int) -> str:
    """A part of the store that only the processes that are here now know of.

    Those that are started anew meet by the same store, where the addresses of those before them still lie.  How often that
    has happened nobody can say: torchrun counts on each machine by itself, and a machine that has come anew begins at 0.
    So each leaves a word that nobody has said before, and process 0 answers it.
    """
    word = secrets.token_hex(8)
    if rank:
        store.set(f"here-{rank}", word)
        part: str = store.get(f"answer-{word}").decode()
        store.set(f"{part}-{rank}", "")
        return part
    heard: set[str] = set()
    while not all(store.check([f"{word}-{other}"]) for other in range(1, size)):
        for name in (f"here-{other}" for other in range(1, size)):
            if store.check([name]) and (said := store.get(name).decode()) not in heard:
                heard.add(said)  # of one that is no more, too: that does no harm
                store.set(f"answer-{said}", word)
        time.sleep(0.01)
    return word


def _take_leave(store: Any, size: int) -> None:
    """Wait until all have come to the end: whoever closes its connections first takes the last word from the others' ears.

    Over gloo that word is there, and not heard: a connection's end is told before what came through it.
    """
    import torch

    left = store.add("left", 1)
    everybody = f"everybody-left-{-(-left // size)}"
    if left % size == 0:
        store.set(everybody, "")
    # The store itself goes with process 0, which has seen by then that all are here.
    with suppress(torch.distributed.DistError):
        store.wait([everybody], FAREWELL)


def _settle() -> None:
    """Wait until gloo's threads have let go of their last tensors.

    DDP keeps them alive beyond the process group.  One that still holds a tensor when the interpreter ends asks for it in
    vain, and takes the process down with it (SIGABRT), although all work is done.
    """
    tasks = Path("/proc/self/task")
    quiet = 0
    while quiet < 2:  # asleep in two looks, between which the interpreter was free
        time.sleep(0.001 if tasks.exists() else 0.05)
        quiet = 0 if any(map(_busy, tasks.glob("*/stat"))) else quiet + 1


def _busy(stat: Path) -> bool:
    try:
        told = stat.read_text(encoding="utf-8")
    except OSError:  # it has ended
        return False
    return "(pt_gloo_runloop)" in told and told.rpartition(")")[2].split()[0] != "S"
