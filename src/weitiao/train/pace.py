"""How long work takes on this machine, as it is now.

    pace("cpu", torch.bfloat16).seconds(Work(flops=4e11, moved=1e10, operations=20_000))  ->  2.6

A step is products, numbers that are read and written, and operations that are begun; nothing of it overlaps on a CPU
(the roofline model of Williams, Waterman and Patterson 2009, added up instead of its maximum).  Each rate is measured
in a few hundredths of a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

MEASURED_S = 0.05
"""How long each rate is measured."""
ROWS, WIDE = 512, 1024
"""A product of this size stands for a layer's: tokens of a micro-batch, width."""
REAL = 2.0
"""How much longer a step takes than such calls say: its products are narrower, and its functions dearer than a copy
(measured 1.5 on SmolLM2 and 1.5 to 3.2 on MiniLM, LoRA)."""
MANY = 1 << 24
"""Numbers that do not fit into a processor's cache."""


@dataclass(frozen=True)
class Work:
    """What a pass has to do."""

    flops: float = 0.0
    """Floating-point operations in products."""
    moved: float = 0.0
    """Bytes read and written by all else."""
    operations: float = 0.0
    """Calls of torch's operations."""

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.moved + other.moved, self.operations + other.operations)

    def times(self, size: float, *, calls: float) -> Work:
        """So much more to compute, in so many times the calls."""
        return Work(self.flops * size, self.moved * size, self.operations * calls)


@dataclass(frozen=True)
class Pace:
    """What a device does in a second."""

    flops: float
    moved: float
    operations: float

    def seconds(self, work: Work) -> float:
        """One after the other."""
        ideal = work.flops / self.flops + work.moved / self.moved + work.operations / self.operations
        return REAL * ideal


def pace(device: str, dtype: torch.dtype) -> Pace:
    """Measure products in `dtype`, copies of float32, and calls with next to nothing to do."""
    left, right = (torch.rand(size, WIDE, device=device).to(dtype) for size in (ROWS, WIDE))
    much, little = (torch.rand(size, device=device) for size in (MANY, 1))
    out = torch.empty_like(much)
    with torch.inference_mode():
        return Pace(
            flops=2 * ROWS * WIDE * WIDE * _rate(lambda: torch.mm(left, right.T), device),
            moved=2 * out.nbytes * _rate(lambda: out.copy_(much), device),
            operations=_rate(lambda: torch.add(little, little), device),
        )


def _rate(call: Callable[[], object], device: str) -> float:
    """Calls in a second."""
    wait = torch.cuda.synchronize if device.startswith("cuda") else (lambda: None)
    call()
    wait()
    calls, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < MEASURED_S:
        call()
        wait()
        calls += 1
    return calls / spent
