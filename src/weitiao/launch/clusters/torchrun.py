"""torchrun by hand: one command that is given on every machine."""

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


@register("cluster", "torchrun")
@dataclass(frozen=True)
class Torchrun(Cluster):
    """A script for machines that share a folder, and nobody to begin it but you."""

    summary: ClassVar[str] = "a script that is begun on every machine by hand"
    source: ClassVar[str] = "torch 2.13 (torch.distributed.run, c10d)"
    files: ClassVar[Mapping[str, str]] = {"run.sh": "torchrun.sh.j2"}
    programs: ClassVar[Sequence[str]] = ("run.sh",)

    def values(self, subject: Training, folder: Path) -> Mapping[str, Any]:
        """The words of a shell, and the folder that they are said in."""
        words = subject.torchrun(str(subject.recipe), meeting="$MEETING", known_as=subject.name)
        return {"here": os.getcwd(), "folder": folder, "torchrun": in_shell(words)}

    def then(self, subject: Training) -> str:
        """Begun on each."""
        return reason("then_torchrun", nodes=subject.nodes)
