"""Looking closer: gradient norms by block, and where the time goes."""

from __future__ import annotations

from collections import defaultdict
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch

from weitiao.core.files import write_text
from weitiao.core.run import RunFolder
from weitiao.models import anatomy
from weitiao.train.loop import Training, Watcher

WARM_UP = 2
"""Steps that are not profiled: the first ones make buffers and choose kernels."""
SHOWN = 25


@dataclass
class GradientNorms(Watcher):
    """Norms of the gradients by block, before they are clipped, as a `gradients` line of `log.jsonl`.

    A name is that of a block (`bert.encoder.layer.0`), or, outside of them, of the module that holds the weight.
    """

    run: RunFolder

    def on_gradients(self, training: Training) -> None:
        """The square root of the sum of squares of everything under a name."""
        blocks = [block.name for block in anatomy.blocks(training.model)]
        squares: dict[str, float] = defaultdict(float)
        for name, weight in training.weights.items():
            if weight.grad is not None:
                norm = training.objective.whole(torch.linalg.vector_norm(weight.grad.float()))
                squares[_home(name, blocks)] += norm.item() ** 2
        norms = {name: square**0.5 for name, square in squares.items()}
        self.run.log(event="gradients", step=training.state.step + 1, norms=norms)


def _home(name: str, blocks: list[str]) -> str:
    return next((block for block in blocks if name.startswith(f"{block}.")), name.rpartition(".")[0] or name)


@dataclass
class Profile(Watcher):
    """`torch.profiler` over some steps: a trace for chrome://tracing or Perfetto, and a table, in `profile/`."""

    run: RunFolder
    steps: int
    _held: ExitStack = field(default_factory=ExitStack, init=False)
    _profiler: Any = field(default=None, init=False)
    _taken: int = field(default=0, init=False)

    def around(self, training: Training) -> AbstractContextManager[Any] | None:
        """Whatever ends the loop ends the profile."""
        return self._held

    def on_start(self, training: Training) -> None:
        """The profiler counts steps itself."""
        from torch import profiler

        kinds = [profiler.ProfilerActivity.CPU]
        kinds += [profiler.ProfilerActivity.CUDA] * training.device.startswith("cuda")
        schedule = profiler.schedule(wait=0, warmup=WARM_UP, active=self.steps, repeat=1)
        self._profiler = self._held.enter_context(
            profiler.profile(activities=kinds, schedule=schedule, on_trace_ready=self._write)
        )

    def on_step(self, training: Training) -> None:
        """One more."""
        self._taken += 1
        if self._taken <= WARM_UP + self.steps:
            self._profiler.step()

    def _write(self, profiler: Any) -> None:
        folder = self.run.path / "profile"
        folder.mkdir(exist_ok=True)
        profiler.export_chrome_trace(str(folder / "trace.json"))
        by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        write_text(
            folder / "operators.txt", profiler.key_averages().table(sort_by=by, row_limit=SHOWN) + "\n"
        )
