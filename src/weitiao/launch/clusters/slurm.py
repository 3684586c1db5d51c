"""Slurm: a batch job that saves before its time is over, and is queued again until it is done."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.launch.contract import Cluster, Training
from weitiao.launch.quoted import in_shell


@register("cluster", "slurm")
@dataclass(frozen=True)
class Slurm(Cluster):
    """A batch job for machines that share a folder."""

    summary: ClassVar[str] = "a batch job that saves before its limit and is queued again"
    source: ClassVar[str] = "Slurm 20.11 or later"
    files: ClassVar[Mapping[str, str]] = {"job.sbatch": "job.sbatch.j2"}
    programs: ClassVar[Sequence[str]] = ("job.sbatch",)

    def values(self, subject: Training, folder: Path) -> Mapping[str, Any]:
        """The words of a shell, and the folder that they are said in."""
        words = subject.torchrun(str(subject.recipe), meeting="$meeting", known_as="$SLURM_JOB_ID")
        return {"here": os.getcwd(), "torchrun": in_shell(words)}

    def then(self, subject: Training) -> str:
        """Handed to the queue."""
        return reason("then_slurm")
