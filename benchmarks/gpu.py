"""What a GPU shows in eight minutes: the tests marked `gpu`, the equalities, and ours beside the others.

    python -m benchmarks.gpu [--seconds 480] [--parts tests chat ...] [--wheels FOLDER] [--json FILE]
    python -m benchmarks.gpu --tiny --device cpu        tries the script itself

Nothing is fetched: models are random ones of real shapes (`made.py`), and what a bare machine's Python lacks comes as
wheels.  Every part is a process of its own with its share of what is left of the time; one that runs out is ended and
said, and the others go on.  Exit code 1 when a part of ours failed or did not come to its end.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.__main__ import PACKAGES, SAME, columns, cores, environment, machine, say
from benchmarks.jobs import ALL, GPU_SYSTEMS, NEEDS

ROOT = Path(__file__).parents[1]
SECONDS = 480.0
ROUNDS = 2
SHARES = {"machine": 4, "tests": 5, "models": 2, "numerics": 5, "chat": 5, "reviews": 4, "llama": 5}
"""Part -> its share of the time, in this order; what one leaves over, those behind it have."""
MODELLESS = ("machine", "tests")
"""Parts that need no made models."""
NO_GPU = (
    "no GPU is seen by torch {torch}: nothing was measured (--tiny --device cpu tries the script)"
    " / torch {torch} 未检测到 GPU：未进行任何测量（--tiny --device cpu 可试运行此脚本）"
)
TAIL = 25
"""Last lines shown of what failed."""


class Failed(Exception):
    """A process that did not end well, or in time; its words are its last lines."""


@dataclass
class Runner:
    """Starts processes that end in time, with all that they have started."""

    variables: dict[str, str]
    deadline: float = 0.0
    """Of the part that runs, by the monotonic clock."""

    def __call__(self, *words: Any, show: bool = False, **variables: str) -> str:
        """What it printed; `show` lets it through as it comes."""
        left = self.deadline - time.monotonic()
        command = [sys.executable, *map(str, words)]
        if left <= 0:
            raise Failed(f"out of time: {' '.join(command[1:4])} was not begun")
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            started = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**self.variables, **variables},
                stdout=None if show else said,
                stderr=None if show else subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = started.wait(timeout=left)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                if started.poll() is None:
                    os.killpg(started.pid, signal.SIGKILL)
                    started.wait()
            said.seek(0)
            text = said.read()
        if code is None:
            raise Failed(f"out of time: {' '.join(command[1:4])} was ended after {left:.0f} s")
        if code:
            raise Failed("\n".join([f"{' '.join(command[1:4])} gave {code}", *text.splitlines()[-TAIL:]]))
        return text


@dataclass
class Session:
    """What all parts share, and what they found."""

    folder: Path
    run: Runner
    tiny: bool
    device: str
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def blind(self) -> bool:
        """Is a GPU asked for, and none there?"""
        return self.device == "cuda" and not self.found["machine"]["gpu"]

    # --- parts

    def machine(self) -> None:
        """What everything else depends on."""
        self.run("-m", "benchmarks.device", self.folder / "device.json")
        here = json.loads((self.folder / "device.json").read_text(encoding="utf-8"))
        self.found["machine"] = machine(threads=cores(), packages=(*PACKAGES, "pytest", "unsloth")) | here
        if self.blind:
            return
        if here["gpu"]:
            print(
                f"{here['gpu']}, {here['gpu_memory_mb']:,.0f} MB, compute capability {here['capability']}, "
                f"driver {here['driver']}, torch {here['torch']} for CUDA {here['cuda']}"
            )
        say(self.found["machine"])

    def tests(self) -> None:
        """`pytest -m gpu`; where the script itself is tried, on the CPU."""
        words = ("-m", "pytest", "tests/gpu", "-m", "gpu", "-p", "no:cacheprovider", "-W", "default", "-rfEs")
        on = {"WEITIAO_GPU_TESTS_ON": self.device}
        # Toys of a few kilobytes: threads would only wait for each other.
        self.run(*words, "--tb=short", "-q", show=True, OMP_NUM_THREADS="1", **on)
        self.found["tests"] = "passed"

    def models(self) -> None:
        """Drawn and written once, for all that is measured."""
        self.run("-m", "benchmarks.made", self.folder, *["--tiny"] * self.tiny)

    def numerics(self) -> None:
        """The equalities, on a toy of each kind."""
        self.found["numerics"], failed = {}, []
        # Some are about bits, which cuBLAS gives twice only so.
        bits = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
        for base, task, rows in (
            ("toy-llama", "sft", "chat.jsonl"),
            ("toy-bert", "text_classification", "reviews.csv"),
        ):
            recipe = self.folder / f"{base}.json"
            made = {"model": str(self.folder / base), "task": task, "method": "lora"}
            made |= {
                "data": {"train": str(self.folder / rows)},
                "output_dir": str(self.folder / f"run-{base}"),
            }
            recipe.write_text(json.dumps(made), encoding="utf-8")
            print(f"\nequalities, {base}:", flush=True)
            try:
                self.run("-m", "weitiao", "check", recipe, "--numerics", show=True, **bits)
                self.found["numerics"][base] = "hold"
            except Failed as error:
                failed.append(str(error))
                self.found["numerics"][base] = str(error)
        if failed:
            raise Failed("; ".join(failed))

    def chat(self) -> None:
        """LoRA on SmolLM2's shape."""
        self.bench("gpu-chat")

    def reviews(self) -> None:
        """LoRA on MiniLM's shape."""
        self.bench("gpu-reviews")

    def llama(self) -> None:
        """LoRA on a Llama of a billion weights."""
        self.bench("gpu-llama")

    # --- a bench

    def bench(self, name: str) -> None:
        """Every system once a round; one that fails is said, and the others go on.  A further round only where it fits in
        the time that the one before it took.
        """
        job = ALL[name]
        systems, ended = dict(GPU_SYSTEMS[job.kind]), ""
        for system in list(systems):
            if lacking := [package for package in NEEDS.get(system, ()) if find_spec(package) is None]:
                print(f"{name}: {systems.pop(system)}: not measured, not installed: {', '.join(lacking)}")
        runs: dict[str, list[dict[str, Any]]] = {system: [] for system in systems}
        took = 0.0
        for turn in range(1 if self.tiny else ROUNDS):
            began = time.monotonic()
            if ended or began + took > self.run.deadline:
                break
            for system in list(systems):
                place = self.folder / f"{name}-{system}-{turn}"
                place.mkdir()
                try:
                    self.run(
                        *("-m", "benchmarks.worker", name, system, self.folder / "rows.json", place, "--warm")
                    )
                except Failed as error:
                    said = f"{name}, round {turn + 1}: {error}"
                    print(said, flush=True)
                    if time.monotonic() >= self.run.deadline:
                        ended = ended or str(error).splitlines()[0]
                        break
                    if system == "weitiao":
                        raise Failed(f"{name}: ours did not run, see above") from error
                    del systems[system]
                    continue
                runs[system].append(json.loads((place / "facts.json").read_text(encoding="utf-8")))
            took = time.monotonic() - began
        measured = {system: theirs for system, theirs in runs.items() if theirs}
        if measured:
            self.found[name] = measured
            print(table(name, measured, GPU_SYSTEMS[job.kind]), flush=True)
        if ended:
            raise Failed(ended)


def table(name: str, runs: dict[str, list[dict[str, Any]]], names: dict[str, str]) -> str:
    """Medians over the rounds; "x" says how many times ours: more seconds, more memory."""
    ours = runs.get("weitiao", [])
    lines = [("", "tokens/s", "seconds", "x", "peak GPU MB", "x", "CPU s", "loss", "rounds")]
    for system, theirs in runs.items():

        def of(key: str, theirs: list[dict[str, Any]] = theirs) -> float:
            return median(run[key] for run in theirs)

        def ratio(key: str, theirs: list[dict[str, Any]] = theirs) -> str:
            # A round of both, or none: what disturbed one may have disturbed the other.
            both = [his[key] / our[key] for his, our in zip(theirs, ours, strict=False) if our[key]]
            return f"{median(both):.2f}" if both else "-"

        lines.append(
            (
                names[system],
                f"{median(run['tokens'] / run['train_wall_s'] for run in theirs):,.0f}",
                *(f"{of('train_wall_s'):.2f}", ratio("train_wall_s")),
                *(f"{of('peak_gpu_mb'):,.0f}" if of("peak_gpu_mb") else "-", ratio("peak_gpu_mb")),
                *(f"{of('train_cpu_s'):.2f}", f"{of('loss'):.4f}", str(len(theirs))),
            )
        )
    job = ALL[name]
    seen = {key: {system: theirs[0][key] for system, theirs in runs.items()} for key in SAME}
    same = ", ".join(f"{next(iter(values.values())):,} {key}" for key, values in seen.items())
    title = f"\n{name} ({job.model}, LoRA, batches of {job.batch_size}): {same}"
    # Said rather than stopped at: the time on such a machine does not come again.
    apart = [
        f"NOT THE SAME JOB: {key} {values}" for key, values in seen.items() if len({*values.values()}) > 1
    ]
    return "\n".join([title, *apart, *columns(lines)])


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for everything (default: 480)")
    parser.add_argument("--parts", nargs="+", choices=list(SHARES), default=list(SHARES))
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu tries the script")
    parser.add_argument("--tiny", action="store_true", help="toys and a handful of rows: measures nothing")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels that this machine's Python lacks")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    asked = parser.parse_args(words)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="weitiao-gpu-") as temporary:
        folder = Path(temporary)
        run = Runner(_variables(folder, asked.device), deadline=started + asked.seconds)
        if asked.wheels:
            _install(asked.wheels, folder / "packages", run)
        session = Session(folder, run, asked.tiny, asked.device)
        failed = go(session, asked.parts, until=started + asked.seconds)
        found = {**session.found, "failed": failed, "seconds": time.monotonic() - started}
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if failed:
        print(f"\nfailed or not finished: {', '.join(failed)}")
    raise SystemExit(bool(failed))


def go(session: Session, parts: Sequence[str], *, until: float) -> dict[str, str]:
    """Every part in its turn; name -> why, of those that failed."""
    wanted = {"machine", *parts, *(["models"] if set(parts) - set(MODELLESS) else [])}
    chosen = [name for name in SHARES if name in wanted]
    failed: dict[str, str] = {}
    for place, name in enumerate(chosen):
        left = until - time.monotonic()
        share = SHARES[name] / sum(SHARES[each] for each in chosen[place:])
        session.run.deadline = time.monotonic() + left * share
        part: Callable[[], None] = getattr(session, name)
        began = time.monotonic()
        try:
            part()
        except Failed as error:
            failed[name] = str(error)
            print(f"\n{name}: {error}", flush=True)
            if name == "machine":
                return failed
        if name == "machine" and session.blind:
            print(NO_GPU.format(torch=session.found["machine"]["torch"]))
            return failed
        print(f"[{name}: {time.monotonic() - began:.0f} s of {left * share:.0f}]", flush=True)
    return failed


def _variables(folder: Path, device: str) -> dict[str, str]:
    """As in the other bench, but for the GPU: one alone is seen, or none, and threads are as they come."""
    found = environment(0, folder)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        found.pop(name)
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    paths = [str(ROOT / "src"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **found,
        "CUDA_VISIBLE_DEVICES": seen if device == "cuda" else "",
        "PYTHONPATH": os.pathsep.join(paths),
        "WEITIAO_CACHE": str(folder / "cache"),
        "WEITIAO_LANG": "en",
    }


def _install(wheels: Path, folder: Path, run: Runner) -> None:
    """The wheels into a folder of this run, which is looked into first; nothing else is asked for."""
    files = sorted(wheels.glob("*.whl"))
    if not files:
        raise SystemExit(f"{wheels} holds no wheels (*.whl)")
    words = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", folder)
    try:
        run(*words, *(file.resolve() for file in files))
    except Failed as error:
        raise SystemExit(f"the wheels of {wheels} do not install: {error}") from error
    # Before the machine's own, and for what is looked up here (versions, who is there) too.
    head, _, rest = run.variables["PYTHONPATH"].partition(os.pathsep)
    run.variables["PYTHONPATH"] = os.pathsep.join([head, str(folder), rest])
    sys.path.insert(0, str(folder))


if __name__ == "__main__":
    main()
