"""One run of one system: a process of its own, so that start, memory and CPU time are its own.

python -m benchmarks.worker JOB SYSTEM ROWS FOLDER  ->  FOLDER/adapter (PEFT's files, or the whole model), FOLDER/facts.json
"""

from __future__ import annotations

import importlib
import json
import platform
import resource
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.jobs import JOBS, SETTINGS


def cpu_s() -> float:
    """CPU seconds of this process and of children that have ended, so far; all threads, user and system."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@dataclass
class Clock:
    """CPU time from before the first step to after the last one."""

    steps: list[float] = field(default_factory=list)
    """CPU seconds so far: before the first step, then after every one."""

    def tick(self) -> None:
        self.steps.append(cpu_s())


@dataclass(frozen=True)
class Trained:
    """What a system says about its run, for the proof that all had the same job."""

    steps: int
    tokens: int
    """Real tokens met, padding not counted."""
    targets: int
    """Labels or tokens that the loss counted."""
    parameters: int
    """How many numbers were trained."""
    loss: float
    """Mean over the steps."""


def main(job: str, system: str, rows: str, folder: str) -> None:
    dealt = json.loads(Path(rows).read_text(encoding="utf-8"))[job]
    clock = Clock()
    # Late, so that every system pays for its own imports and no other's.
    module = importlib.import_module(f"benchmarks.{'ours' if system == 'weitiao' else 'peers'}")
    run = getattr(module, JOBS[job].kind)
    trained: Trained = run(job, dealt, folder=Path(folder), clock=clock, settings=SETTINGS[system])
    whole = cpu_s()
    unit = 1 if platform.system() == "Darwin" else 1024
    facts: dict[str, Any] = {
        "train_cpu_s": clock.steps[-1] - clock.steps[0],
        "start_cpu_s": clock.steps[0],
        "whole_cpu_s": whole,
        "step_cpu_s": [b - a for a, b in zip(clock.steps, clock.steps[1:], strict=False)],
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6,
        **vars(trained),
    }
    (Path(folder) / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
