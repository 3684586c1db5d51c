"""Where the time of a training step goes, and what share of the machine's products it reaches.

    python -m benchmarks.profile [--jobs reviews chat] [--threads N]  ->  a table a job

Four steps of ours under torch's profiler, after four that are not looked at.  The peak is measured on the spot: a
2,048 x 2,048 x 2,048 product in the precision of the run.  The profiler costs time itself, so read shares, and take
times from `python -m benchmarks`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

from benchmarks.__main__ import Starter, columns, machine, say
from benchmarks.jobs import JOBS

WARM, LOOKED_AT = 4, 4  # steps
SIDE = 2048
PRODUCTS = ("aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "aten::baddbmm")
ROWS = 14
"""Operations shown; what lies below is one line."""


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS))
    parser.add_argument("--threads", type=int, default=1, help="threads (default: 1)")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="weitiao-profile-") as temporary:
        folder = Path(temporary)
        Starter(folder, threads=asked.threads)("benchmarks.rows", folder / "rows.json")
        dealt = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
        say(machine(threads=asked.threads, packages=("weitiao", "torch", "transformers")))
        for job in asked.jobs:
            print(table(job, profile(job, dealt[job], folder / job, threads=asked.threads)), flush=True)


def profile(job: str, dealt: dict[str, Any], folder: Path, *, threads: int) -> dict[str, Any]:
    """CPU seconds of every operation, products counted in floating-point operations, and the machine's peak."""
    import torch
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as torch_profile

    import weitiao as wt
    from benchmarks.ours import recipe

    torch.set_num_threads(threads)

    class Look(wt.Watcher):
        """Turns the profiler on behind the warm-up, and ends the run behind it."""

        profiler = torch_profile(activities=[ProfilerActivity.CPU], record_shapes=True)
        tokens, cpu_s, bf16 = 0, 0.0, False

        def on_step(self, training: wt.Training) -> None:
            step = training.state.step
            if step > WARM:
                self.tokens += training.facts["tokens"]
            if step == WARM:
                self.profiler.__enter__()
                self.cpu_s = time.process_time()
            elif step == WARM + LOOKED_AT:
                self.cpu_s = time.process_time() - self.cpu_s
                self.profiler.__exit__(None, None, None)
                self.bf16 = bool(training.settings.bf16)
                training.stop = "looked at"

    look = Look()
    folder.mkdir()
    wt.train(**recipe(JOBS[job], dealt, folder=folder), watchers=[look])
    events = [event for event in look.profiler.key_averages() if event.self_cpu_time_total > 0]
    return {
        "tokens": look.tokens,
        "cpu_s": look.cpu_s,
        "operations": {event.key: (event.self_cpu_time_total / 1e6, event.count) for event in events},
        "flop": sum(map(_flop, look.profiler.key_averages(group_by_input_shape=True))),
        "peak_flop_s": _peak(torch.bfloat16 if look.bf16 else torch.float32),
    }


def _flop(event: Any) -> float:
    """Floating-point operations of a product by the shapes of its factors, (..., N, K) and (..., K, M)."""
    # Not the profiler's own count, which leaves out products that are added in place.
    if event.key not in PRODUCTS:
        return 0.0
    first, second = [shape for shape in event.input_shapes if len(shape) >= 2][-2:]
    return 2.0 * prod(first) * second[-1] * event.count


def _peak(dtype: Any) -> float:
    """Floating-point operations a second of a large square product, the best of five."""
    import torch

    a, b = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
    taken = []
    for _ in range(6):  # the first one sets things up
        started = time.perf_counter()
        a @ b
        taken.append(time.perf_counter() - started)
    return 2 * SIDE**3 / min(taken[1:])


def table(job: str, found: dict[str, Any]) -> str:
    """The largest operations of one job, and how near the whole is to the peak."""
    operations = sorted(found["operations"].items(), key=lambda item: -item[1][0])
    whole = sum(seconds for _, (seconds, _) in operations)
    products = sum(found["operations"].get(name, (0.0, 0))[0] for name in PRODUCTS)
    lines = [("", "ms a step", "share", "calls a step")]
    for name, (seconds, count) in operations[:ROWS]:
        lines.append(_line(name, seconds, whole, count))
    rest = operations[ROWS:]
    lines.append(_line("everything else", sum(s for _, (s, _) in rest), whole, sum(c for _, (_, c) in rest)))
    flop, peak = found["flop"], found["peak_flop_s"]
    return "\n".join(
        [
            f"\n{job}: {LOOKED_AT} steps, {found['tokens']:,} tokens, {found['cpu_s']:.2f} CPU s",
            *columns(lines),
            f"products: {flop / 1e9:,.0f} GFLOP in {products:.2f} s, {flop / products / peak:.0%} of the peak of "
            f"{peak / 1e9:,.0f} GFLOP/s; the whole step: {flop / whole / peak:.0%}",
        ]
    )


def _line(name: str, seconds: float, whole: float, count: int) -> tuple[str, ...]:
    return (
        name[:48],
        f"{seconds * 1e3 / LOOKED_AT:.1f}",
        f"{seconds / whole:.1%}",
        f"{count / LOOKED_AT:,.0f}",
    )


if __name__ == "__main__":
    main()
