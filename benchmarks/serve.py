"""Serving: ours beside FastAPI with Transformers one by one, LitServe and `transformers serve`, asked by the same clients.

    python -m benchmarks.serve [--kind labels|chat] [--systems ours int8 fastapi litserve] [--requests 400] [--clients 16]
                               [--rounds 2] [--threads 1] [--bf16] [--python PYTHON] [--json FILE]

Each server is a process of its own, in turn, round by round, on one model, in float32 (`--bf16`: ours in bfloat16, `int8`: our
exported graph); LitServe and `transformers serve` by an interpreter that has them (`--python`).  Closed loop: each of the clients
asks again as soon as it is answered; requests a second by the wall clock, and CPU milliseconds a request (a token) of the
server and its children alone, which other work on the machine changes less.  Then, for labels, an open loop: arrivals of a
Poisson process at 70 % of the ceiling that was just found, each latency from the intended moment.  The server has the first
cores and the load the others, where there are enough.  Serving for long: `benchmarks.serve_long`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.__main__ import columns, environment, machine, rounds, say

SYSTEMS = {
    "ours": "weitiao serve",
    "int8": "weitiao serve --backend onnx-int8",
    "fastapi": "FastAPI + Transformers, one by one",
    "litserve": "LitServe",
    "transformers": "transformers serve",
}
DATA = {"labels": ("minilm-l6", "film-reviews"), "chat": ("smollm2-135m", "alpaca-en")}
TOKENS = 32
"""Of every answer of a conversation, at most."""
SHARE = 0.7
"""Of the ceiling, at which the open loop asks."""


def main(words: Sequence[str] | None = None) -> None:
    """Make a run, serve it in turn by both, print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=DATA, default="labels")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=["ours", "fastapi"])
    parser.add_argument("--python", default=sys.executable, help="of LitServe and transformers serve")
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of every server (default: 1)")
    parser.add_argument(
        "--bf16", action="store_true", help="products of ours in bfloat16, as runs are judged by default"
    )
    parser.add_argument("--json", type=Path, help="write all figures here too")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="weitiao-bench-") as temporary:
        folder = Path(temporary)
        say(facts := machine(threads=asked.threads))
        texts = made(asked, folder)
        cores = first_cores(asked.threads)
        said: dict[str, list[Any]] = {}

        def measure(system: str, turn: int) -> dict[str, Any]:
            with_open = asked.kind == "labels"
            found, said[system] = served(system, asked, folder, texts, cores=cores, with_open=with_open)
            return found

        runs = rounds(asked.systems, asked.rounds, measure)
        first = said[asked.systems[0]]
        agree = {
            system: statistics.fmean(a == b for a, b in zip(first, theirs, strict=True))
            for system, theirs in said.items()
        }
        print(table(runs, agree), flush=True)
    if asked.json:
        text = json.dumps({"machine": facts, "runs": runs, "agree": agree}, indent=2)
        asked.json.write_text(text + "\n", encoding="utf-8")


def made(asked: Any, folder: Path) -> list[str]:
    """A tuned run, its plain form, and texts to ask about."""
    from weitiao import api
    from weitiao.core.contracts import Record
    from weitiao.core.recipe import Data
    from weitiao.data.read import read
    from weitiao.stages.data import located

    kind, count = asked.kind, asked.requests
    model, data = DATA[kind]
    run = api.train(
        model=model,
        task="sft" if kind == "chat" else "text_classification",
        data={"train": f"{data}#{200 if kind == 'chat' else 400}"},
        method="lora",
        train={
            "max_steps": 10,
            "bf16": asked.bf16,
            "eval_strategy": "no",
            "load_best_model_at_end": False,
            "early_stopping_patience": None,
        },
        evaluate={"answers": 0} if kind == "chat" else {},
        output_dir=str(folder / "run"),
    )
    run.merge(folder / "plain")
    if "int8" in asked.systems:
        api.export(run, "onnx", dtype="int8")
    (source,) = read(located(Data(train=[f"{data}#{count}"])).train)
    rows = [row.values for row in source.rows() if isinstance(row, Record)][:count]
    return [row["instruction"] if kind == "chat" else row["text"] for row in rows]


def served(
    system: str, asked: Any, folder: Path, texts: Sequence[str], *, cores: set[int] | None, with_open: bool
) -> tuple[dict[str, Any], list[Any]]:
    """What one server does, and what it said."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    started = time.perf_counter()
    command = commanded(system, asked, folder, port)
    server = begun(command, port, environment(asked.threads, folder), cores=cores)
    try:
        start_cpu_s, ready_s = cpu_s(server.pid), time.perf_counter() - started
        ask = _asker(asked.kind, port)
        ask(texts[0])  # what is measured or compiled once
        before, began = cpu_s(server.pid), time.perf_counter()
        said = closed(ask, texts, clients=asked.clients)
        took, spent_s = time.perf_counter() - began, cpu_s(server.pid) - before
        found = {
            "cpu_s": spent_s,
            "requests_per_s": len(texts) / took,
            "cpu_ms": 1e3 * spent_s / len(texts),
            "tokens": sum(tokens for _, tokens in said),
            "start_cpu_s": start_cpu_s,
            "ready_s": ready_s,
            "peak_rss_mb": resident_mb(server.pid, "VmHWM"),
        }
        if with_open:
            late = opened(ask, texts, per_s=SHARE * found["requests_per_s"])
            found |= {
                "p50_ms": 1e3 * statistics.median(late),
                "p99_ms": 1e3 * sorted(late)[int(0.99 * len(late))],
            }
        return found, [answer for answer, _ in said]
    finally:
        end(server)


def commanded(system: str, asked: Any, folder: Path, port: int) -> list[Any]:
    """What begins a server."""
    ours = [sys.executable, "-m", "weitiao", "serve", folder / "run", "--port", port, "--timeout", 600]
    ours += ["--queue", 4096]
    peers = ["-m", f"benchmarks.serve_{system}", asked.kind, folder / "plain", port]
    if system == "transformers":
        begin = "from transformers.cli.transformers import main; main()"
        words = ["serve", folder / "plain", "--port", port, "--host", "127.0.0.1", "--device", "cpu"]
        return [asked.python, "-c", begin, *words, "--dtype", "float32"]
    return {
        "ours": ours,
        "int8": [*ours, "--backend", "onnx-int8"],
        "fastapi": [sys.executable, *peers],
        "litserve": [asked.python, *peers],
    }[system]


def first_cores(threads: int) -> set[int] | None:
    """Those of the server, where some are left for the load, which then stays off them; None: nobody is bound."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    here = sorted(os.sched_getaffinity(0))
    if len(here) <= threads:
        return None
    os.sched_setaffinity(0, here[threads:])
    return set(here[:threads])


def begun(
    command: Sequence[Any], port: int, env: Mapping[str, str], *, cores: set[int] | None = None
) -> subprocess.Popen[bytes]:
    """A server that answers, in a session of its own, on some cores."""
    words = [*map(str, command)]
    if cores:
        words = ["taskset", "-c", ",".join(map(str, sorted(cores))), *words]
    silent: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(words, env=dict(env), start_new_session=True, **silent)
    while not _there(port):
        if server.poll() is not None:
            raise SystemExit(f"{' '.join(words)}: did not begin")
        time.sleep(0.2)
    return server


def end(server: subprocess.Popen[bytes]) -> None:
    """A server and whatever it has begun; one that does not heed SIGTERM is killed."""
    server.terminate()
    try:
        server.wait(30)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)


def closed(ask: Callable[[str], tuple[Any, int]], texts: Sequence[str], *, clients: int) -> list[Any]:
    """All texts, by so many clients, each of which waits for its answer."""
    said: list[Any] = [None] * len(texts)
    places = iter(range(len(texts)))
    lock = threading.Lock()

    def client() -> None:
        while True:
            with lock:
                place = next(places, None)
            if place is None:
                return
            said[place] = ask(texts[place])

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


def opened(ask: Callable[[str], Any], texts: Sequence[str], *, per_s: float) -> list[float]:
    """Seconds from the moment at which each was to be asked, whoever is still waited for."""
    rng = random.Random(1)
    late: list[float] = []
    threads, at = [], time.perf_counter()

    def client(text: str, meant: float) -> None:
        ask(text)
        late.append(time.perf_counter() - meant)

    for text in texts:
        at += rng.expovariate(per_s)
        time.sleep(max(0.0, at - time.perf_counter()))
        threads.append(threading.Thread(target=client, args=(text, at)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return late


def _asker(kind: str, port: int) -> Callable[[str], tuple[Any, int]]:
    def post(path: str, body: Mapping[str, Any]) -> Any:
        headers = {"content-type": "application/json"}
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.loads(answer.read())

    def label(text: str) -> tuple[Any, int]:
        return post("/predict", {"inputs": text})[0]["label"], 1

    def chat(text: str) -> tuple[Any, int]:
        turns = [{"role": "user", "content": text}]
        told = post("/v1/chat/completions", {"messages": turns, "max_tokens": TOKENS})
        return told["choices"][0]["message"]["content"], told["usage"]["completion_tokens"]

    return chat if kind == "chat" else label


def _there(port: int) -> bool:
    for path in ("ready", "health"):  # each has one of them
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=1):
            return True
    return False


def cpu_s(session: int) -> float:
    """CPU seconds of a server and its children so far, user and system (Linux; `man 5 proc`): of all of a session."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int, what: str = "VmRSS") -> float:
    """Of a process now; or its peak, `VmHWM`."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if what in line)
    return int(line.split()[1]) * 1024 / 1e6


def table(runs: Mapping[str, Sequence[Mapping[str, Any]]], agree: Mapping[str, float]) -> str:
    """Medians of each system, and what each takes of a request (of a conversation: a token) beside the first, by round."""

    def middle(system: str, key: str) -> float:
        return statistics.median(run[key] for run in runs[system])

    first = runs[next(iter(runs))]
    keys = ("requests_per_s", "cpu_ms", "tokens", "start_cpu_s", "ready_s", "peak_rss_mb", "p50_ms", "p99_ms")
    shown = [key for key in keys if key in first[0]]
    rows = [["", *shown, "cpu, of the first's", "agree"]]
    for system, each in runs.items():
        ratios = [
            (theirs["cpu_s"] / theirs["tokens"]) / (ours["cpu_s"] / ours["tokens"])
            for ours, theirs in zip(first, each, strict=True)
        ]
        told = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        figures = [f"{middle(system, key):.1f}" for key in shown]
        rows.append([SYSTEMS[system], *figures, told, f"{agree[system]:.3f}"])
    return "\n".join(columns(rows))


if __name__ == "__main__":
    main()
