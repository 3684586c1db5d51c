"""One run of one system: a process of its own, so that start, memory and CPU time are its own.

python -m benchmarks.worker JOB SYSTEM ROWS FOLDER [--warm]  ->  FOLDER/adapter (PEFT's files, or the whole model), FOLDER/facts.json

`--warm` trains on two batches first, which are not measured: a GPU's first products load its kernels.
"""

from __future__ import annotations

import gc
import importlib
import json
import platform
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import device
from benchmarks.jobs import ALL, SETTINGS


def cpu_s() -> float:
    """CPU seconds of this process and of children that have ended, so far; all threads, user and system."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak_rss_mb() -> float:
    """The largest resident size of this process so far."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


@dataclass
class Clock:
    """CPU time and wall clock from before the first step to after the last one."""

    last: int
    """How many steps there are."""
    steps: list[float] = field(default_factory=list)
    """CPU seconds so far: before the first step, then after every one."""
    walls: list[float] = field(default_factory=list)
    """The wall clock at the same moments."""
    held_mb: float = 0.0
    """The most that tensors took on the GPU between them."""

    def tick(self) -> None:
        # In between, a wait would slow whoever lets the GPU run behind.
        if len(self.steps) in (0, self.last):
            device.wait()
        if not self.steps:
            device.held_mb()
        self.held_mb = device.peak_mb()
        self.steps.append(cpu_s())
        self.walls.append(time.perf_counter())


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


def main(name: str, system: str, rows: str, folder: str, *words: str) -> None:
    job = ALL[name]
    dealt = json.loads(Path(rows).read_text(encoding="utf-8"))[name]
    # Late, so that every system pays for its own imports and no other's.
    module = importlib.import_module(f"benchmarks.{'ours' if system == 'weitiao' else 'peers'}")
    run = getattr(module, job.kind)
    left_mb = 0.0
    if "--warm" in words:
        few = {**dealt, "train": dealt["train"][: 2 * job.batch_size]}
        (place := Path(folder) / "warm").mkdir()
        run(job, few, folder=place, clock=Clock(0), settings=SETTINGS[system])
        gc.collect()
        left_mb = device.held_mb()
    clock = Clock(-(-len(dealt["train"]) // job.batch_size) * job.epochs)
    trained: Trained = run(job, dealt, folder=Path(folder), clock=clock, settings=SETTINGS[system])
    whole = cpu_s()
    facts: dict[str, Any] = {
        "train_cpu_s": clock.steps[-1] - clock.steps[0],
        "train_wall_s": clock.walls[-1] - clock.walls[0],
        "start_cpu_s": clock.steps[0],
        "whole_cpu_s": whole,
        "step_cpu_s": [b - a for a, b in zip(clock.steps, clock.steps[1:], strict=False)],
        "peak_rss_mb": peak_rss_mb(),
        "peak_gpu_mb": clock.held_mb - left_mb,
        **vars(trained),
    }
    (Path(folder) / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
