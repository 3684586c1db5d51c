"""Run the bench and print one table.

python -m benchmarks [--quick | --tiny] [--rounds N] [--threads N] [--jobs reviews chat ...] [--json FILE]

The driver imports nothing heavy; what it starts are `rows`, then `worker` in the order A B C A B C ..., then `judge`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.jobs import JOBS, SYSTEMS

ROUNDS = 2
SAME = ("steps", "targets", "parameters")
"""What must be equal for every system, or the comparison means nothing."""
PACKAGES = ("weitiao", "torch", "transformers", "peft", "accelerate", "trl", "tokenizers", "datasets")
MEASURED = ("train_cpu_s", "start_cpu_s", "whole_cpu_s", "wall_s", "peak_rss_mb")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round of each job")
    parser.add_argument(
        "--tiny", action="store_true", help="one round on a handful of rows, to try the bench"
    )
    parser.add_argument("--rounds", type=int, help=f"rounds of each job (default: {ROUNDS})")
    parser.add_argument("--threads", type=int, default=1, help="threads of every system (default: 1)")
    parser.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS))
    parser.add_argument("--json", type=Path, help="write all figures here too")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="weitiao-bench-") as temporary:
        folder = Path(temporary)
        start = Starter(folder, threads=asked.threads)
        rows = folder / "rows.json"
        start("benchmarks.rows", rows, *["--tiny"] * asked.tiny)
        facts = machine(threads=asked.threads)
        say(facts)
        jobs = {}
        for job in asked.jobs:
            rounds = 1 if asked.quick or asked.tiny else ROUNDS
            jobs[job] = measure(job, rows, folder, rounds=asked.rounds or rounds, start=start)
            print(table(job, jobs[job]), flush=True)
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"machine": facts, "jobs": jobs}, indent=2, ensure_ascii=False)
        asked.json.write_text(text + "\n", encoding="utf-8")


class Starter:
    """Starts a module as a process, waits, and says how long it took."""

    def __init__(self, folder: Path, *, threads: int):
        self.folder, self.threads = folder, threads

    def __call__(self, module: str, *words: Any, threads: int = 0) -> float:
        command = [sys.executable, "-m", module, *map(str, words)]
        variables = environment(threads or self.threads, self.folder)
        started = time.perf_counter()
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} gave {done.returncode}:\n{done.stderr[-3000:]}")
        return time.perf_counter() - started


def rounds(
    systems: Iterable[str], count: int, measure: Callable[[str, int], dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """What `measure(system, turn)` gives of every system, turn by turn, so that all meet the same machine."""
    found: dict[str, list[dict[str, Any]]] = {system: [] for system in systems}
    for turn in range(count):
        for system, runs in found.items():
            runs.append(measure(system, turn))
            print(f"  round {turn + 1} {system}: {runs[-1]['cpu_s']:.1f} CPU s", file=sys.stderr)
    return found


def environment(threads: int, folder: Path) -> dict[str, str]:
    """Of a measured process: so many threads, no GPU, and nothing from the hub."""
    return {
        **os.environ,
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), str(threads)),
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "hf"),
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONHASHSEED": "0",
    }


def measure(job: str, rows: Path, folder: Path, *, rounds: int, start: Starter) -> dict[str, Any]:
    """Every system once a round, then the judge on the adapters of the last round."""
    names = SYSTEMS[JOBS[job].kind]
    runs: dict[str, list[dict[str, Any]]] = {system: [] for system in names}
    where: dict[str, str] = {}
    for turn in range(rounds):
        for system in names:
            place = folder / f"{job}-{system}-{turn}"
            place.mkdir()
            wall_s = start("benchmarks.worker", job, system, rows, place)
            facts = json.loads((place / "facts.json").read_text(encoding="utf-8"))
            runs[system].append({**facts, "wall_s": wall_s})
            where[system] = str(place / "adapter")
            print(
                f"  {job} round {turn + 1}/{rounds} {system}: {facts['train_cpu_s']:.1f} CPU s",
                file=sys.stderr,
            )
    for name in SAME:
        seen = {system: runs[system][0][name] for system in runs}
        if len(set(seen.values())) > 1:
            raise SystemExit(f"{job}: not the same job, {name} differ: {seen}")
    # Nothing is timed any more, so the judge may have all cores.
    start("benchmarks.judge", job, rows, folder / f"{job}.json", *where.values(), threads=cores())
    scores = json.loads((folder / f"{job}.json").read_text(encoding="utf-8"))
    ours = runs["weitiao"]
    systems = {
        system: {
            **{name: median(run[name] for run in theirs) for name in MEASURED},
            "tokens": theirs[0]["tokens"],
            "tokens_per_cpu_s": median(run["tokens"] / run["train_cpu_s"] for run in theirs),
            "train_loss": theirs[-1]["loss"],
            JOBS[job].score: scores[where[system]],
            "ratio_to_ours": {
                name: median(his[name] / our[name] for his, our in zip(theirs, ours, strict=True))
                for name in MEASURED
            },
            "runs": theirs,
        }
        for system, theirs in runs.items()
    }
    same = {name: ours[0][name] for name in SAME}
    return {"same": same, "untuned": scores["untuned"], "rounds": rounds, "systems": systems}


def table(job: str, result: dict[str, Any]) -> str:
    """The figures of one job as text; "x" columns say how much more than ours, the median over the rounds."""
    score, names = JOBS[job].score, SYSTEMS[JOBS[job].kind]
    head = ("", "train CPU s", "x", "tokens/CPU s", "start CPU s", "x", "whole CPU s", "x", "wall s", "x")
    lines = [(*head, "peak MB", "x", "train loss", f"held-out {score}")]
    for system, found in result["systems"].items():
        ratio = {name: f"{value:.2f}" for name, value in found["ratio_to_ours"].items()}
        lines.append(
            (
                names[system],
                *(f"{found['train_cpu_s']:.1f}", ratio["train_cpu_s"], f"{found['tokens_per_cpu_s']:.0f}"),
                *(f"{found['start_cpu_s']:.1f}", ratio["start_cpu_s"]),
                *(f"{found['whole_cpu_s']:.1f}", ratio["whole_cpu_s"]),
                *(f"{found['wall_s']:.1f}", ratio["wall_s"]),
                *(f"{found['peak_rss_mb']:.0f}", ratio["peak_rss_mb"]),
                *(f"{found['train_loss']:.4f}", f"{found[score]:.4f}"),
            )
        )
    same = ", ".join(f"{value:,} {name}" for name, value in result["same"].items())
    title = f"\n{job}: {same} for all; {result['rounds']} rounds; untuned {score} {result['untuned']:.4f}"
    return "\n".join([title, *columns(lines)])


def columns(lines: Sequence[Sequence[str]]) -> list[str]:
    """Cells under one another: the first of each line to the left, the others to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine(*, threads: int, packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """What the figures depend on."""
    model = platform.processor()
    if (cpuinfo := Path("/proc/cpuinfo")).is_file():
        known = dict(
            line.split(":", 1) for line in cpuinfo.read_text().split("\n\n")[0].splitlines() if ":" in line
        )
        known = {key.strip(): value.strip() for key, value in known.items()}
        flags = [
            flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in known.get("flags", "")
        ]
        model = f"{known.get('model name', model)} ({' '.join(flags)})"
    return {
        "processor": model,
        "cores": cores(),
        "threads": threads,
        "load_before": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # not every job needs every peer
        return "not installed"


def say(facts: dict[str, Any]) -> None:
    """Print them."""
    named = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    print(f"{facts['processor']}, {facts['cores']} cores, {facts['threads']} thread(s) each")
    print(f"load before: {facts['load_before']:.1f}; Python {facts['python']}; {named}", flush=True)


if __name__ == "__main__":
    main()
