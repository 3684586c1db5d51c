"""What every destination says of itself: the contract of the shelves `service` and `cluster`.

A destination names the templates that it fills; everything else (the image, the models, the folder) is done for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    from weitiao.launch.portable import Held

Subject = TypeVar("Subject", bound="Serving | Training")
SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
PROGRAM_MB = 600
"""What a server holds beside its weights (notes/LOG.md, "Files to launch by")."""
SAVING_S = 600
"""Seconds that processes have to end their step and to write a checkpoint, once they are told to end."""


@dataclass(frozen=True)
class Serving:
    """Runs that are to be served."""

    name: str
    """Of the service."""
    held: Sequence[Held]
    image: str
    mounted: bool
    """Do the models lie beside the image, not in it?"""
    weights_mb: int
    """What their weights take in memory."""

    cuda: ClassVar[bool] = False
    port: ClassVar[int] = 8000
    models: ClassVar[str] = "/srv/models"
    """Where they lie in the image."""
    further: ClassVar[Sequence[str]] = ()

    @property
    def memory_mb(self) -> int:
        """What the process takes when nobody asks."""
        return PROGRAM_MB + round(1.25 * self.weights_mb)

    def words(self, places: Sequence[str], *, host: str) -> list[str]:
        """What `weitiao` is told to do, when its runs lie there."""
        runs = [f"{one.name}={place}" for one, place in zip(self.held, places, strict=True)]
        return ["serve", *runs, "--host", host, "--port", str(self.port)]

    @property
    def in_image(self) -> list[str]:
        """The same where they lie in the image."""
        return self.words([f"{self.models}/{one.served}" for one in self.held], host="0.0.0.0")


@dataclass(frozen=True)
class Training:
    """A recipe that is to be trained by several machines."""

    name: str
    """Of the job."""
    recipe: Path
    overrides: Sequence[str]
    output: str
    """Its run folder."""
    nodes: int
    gpus_per_node: int
    image: str
    queue: str
    """The partition of Slurm, or the queue of Kueue; empty: none is named."""
    further: Sequence[str] = field(default=())
    """Packages that the destination's image needs beside ours."""

    work: ClassVar[str] = "/work"
    """Where the shared volume lies in the image."""

    @property
    def cuda(self) -> bool:
        """Are there GPUs?"""
        return self.gpus_per_node > 0

    @property
    def processes(self) -> int:
        """Of one machine: one a GPU."""
        return max(1, self.gpus_per_node)

    def weitiao(self, recipe: str) -> list[str]:
        """What one process is told to do; the same words begin the run and go on with it."""
        return ["-m", "weitiao", "train", recipe, *self.overrides, "--resume"]

    def torchrun(self, recipe: str, *, meeting: str, known_as: str) -> list[str]:
        """What torchrun is told on each machine.

        Args:
            recipe: where the recipe lies there.
            meeting: host and port at which the machines meet, or `$VARIABLE`.
            known_as: what tells this run from others there.
        """
        return [
            f"--nnodes={self.nodes}",
            f"--nproc-per-node={self.processes}",
            "--max-restarts=3",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint={meeting}",
            f"--rdzv-id={known_as}",
            f"--signals-to-handle={SIGNALS}",
            f"--shutdown-timeout={SAVING_S}",
            *self.weitiao(recipe),
        ]


@dataclass(frozen=True)
class Destination(ABC, Generic[Subject]):
    """Where something is launched.  Final subclasses are frozen dataclasses."""

    summary: ClassVar[str]
    """One line."""
    source: ClassVar[str]
    """What its files were written for."""
    files: ClassVar[Mapping[str, str]]
    """File -> its template in `files/`."""
    in_image: ClassVar[bool] = False
    """Does it run an image, which is to be built?"""
    programs: ClassVar[Sequence[str]] = ()
    """Files that are run."""

    def values(self, subject: Subject, folder: Path) -> Mapping[str, Any]:
        """What its templates ask for beside the subject, which is `s` there.

        Args:
            subject: what is launched.
            folder: where the files come to lie.
        """
        return {}

    @abstractmethod
    def then(self, subject: Subject) -> str:
        """What is to be done with the files, in the reader's language."""


class Service(Destination[Serving]):
    """Where runs are served."""


class Cluster(Destination[Training]):
    """Where a recipe is trained."""

    needs: ClassVar[Sequence[str]] = ()
    """Packages of its image beside ours, pinned."""
