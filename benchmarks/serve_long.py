"""Serving for long: is every answer there, once, of the model that it names, and does memory stay as it is?

    python -m benchmarks.serve_long RUN [--requests 100000] [--backend onnx]
    python -m benchmarks.serve_long RUN --other RUN [--requests 10000]

Four clients that keep their connections ask short texts of a run that labels; behind each tenth the server's resident memory.
With `--other`, an adapter on the same base, clients ask a second name too, under which the two take each other's place all the
while; every answer must be what the weights that it names (`x-model-content`) say alone.  Exit code 1 where one is wrong,
lost or doubled.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.__main__ import columns, machine, say
from benchmarks.serve import begun, cpu_s, end, resident_mb

CLIENTS = 4
TEXTS = [f"a film of {number} words, {how}" for number in (2, 30, 400) for how in ("good", "bad", "so so")]
JSON = {"content-type": "application/json"}


@dataclass
class Asked:
    """What clients have met."""

    port: int
    expected: dict[str, list[float]]
    """By content and place of the text, the scores that the model gives alone; empty: nobody looks."""
    lost: int = 0
    wrong: int = 0
    ids: Counter[str] = field(default_factory=Counter)
    by: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, names: Sequence[str], numbers: range) -> None:
        """Ask so many times, one after the other."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        for number in numbers:
            place = number % len(TEXTS)
            body = {"model": names[number // len(TEXTS) % len(names)], "rows": [{"text": TEXTS[place]}]}
            line.request("POST", "/predict", json.dumps(body), JSON)
            answer = line.getresponse()
            told, content = answer.read(), answer.headers.get("x-model-content", "")
            if answer.status != 200:
                with self.lock:
                    self.lost += 1
                continue
            self.heard(json.loads(told), content, place, body["model"])

    def heard(self, told: dict[str, Any], content: str, place: int, name: str) -> None:
        """An answer."""
        wrong = False
        if self.expected:
            alone = self.expected.get(f"{content} {place}")
            scores = told["predictions"][0]["scores"].values()
            wrong = alone is None or any(abs(a - b) > 1e-5 for a, b in zip(alone, scores, strict=True))
        with self.lock:
            self.ids[told["id"]] += 1
            self.by[f"{name} by {content}"] += 1
            self.wrong += wrong


def main(words: Sequence[str] | None = None) -> None:
    """Ask, and say what came of it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serve_long", description=__doc__.splitlines()[0]
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--other", type=Path)
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(words)
    asked.requests = asked.requests or (10_000 if asked.other else 100_000)
    say(machine(threads=asked.threads))
    raise SystemExit(lasting(asked))


def lasting(asked: Any) -> int:
    """All requests; 1 where one was not answered as it should be."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "weitiao",
        "serve",
        asked.run,
        "--port",
        port,
        "--timeout",
        600,
        "--backend",
        asked.backend,
    ]
    if asked.other:
        command += [
            "--adapters",
            os.path.commonpath([asked.run.parent.resolve(), asked.other.parent.resolve()]),
        ]
    server = begun(command, port, {**os.environ, "OMP_NUM_THREADS": str(asked.threads)})
    try:
        start_s = cpu_s(server.pid)
        ended, names = threading.Event(), [asked.run.name]
        met, swaps = Asked(port, {}), [0]
        if asked.other:
            runs = [asked.run.resolve(), asked.other.resolve()]
            _load(port, runs[1], swaps)
            names.append("swap")
            met.expected = alone(port, dict(zip(names, runs, strict=True)))
            swapping = threading.Thread(target=_swap, args=(port, runs, ended, swaps))
            swapping.start()
        rows = [["requests", "resident MB"], ["0", f"{resident_mb(server.pid):.1f}"]]
        tenth = asked.requests // 10
        for done in range(0, asked.requests, tenth):
            parts = [
                range(done + part * tenth // CLIENTS, done + (part + 1) * tenth // CLIENTS)
                for part in range(CLIENTS)
            ]
            clients = [threading.Thread(target=met.client, args=(names, part)) for part in parts]
            for each in clients:
                each.start()
            for each in clients:
                each.join()
            rows.append([str(done + tenth), f"{resident_mb(server.pid):.1f}"])
            print(rows[-1], flush=True)
        ended.set()
        if asked.other:
            swapping.join()
        each_ms = 1e3 * (cpu_s(server.pid) - start_s) / asked.requests
    finally:
        end(server)
    doubled = sum(count - 1 for count in met.ids.values())
    lost = asked.requests - len(met.ids) - doubled
    print("\n".join(columns(rows)))
    print(
        f"start to ready {start_s:.2f} CPU s; {each_ms:.2f} CPU ms a request; swaps {swaps[0]}; {dict(met.by)}"
    )
    print(f"wrong {met.wrong}, lost {lost}, doubled {doubled}")
    return int(bool(met.wrong or lost or doubled))


def alone(port: int, runs: dict[str, Path]) -> dict[str, list[float]]:
    """By content and place, the scores that each run gives of each text by itself, without a server."""
    from weitiao import api

    found = {}
    for name, run in runs.items():
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        line.request("POST", "/predict", json.dumps({"model": name, "rows": [{"text": "x"}]}), JSON)
        content = line.getresponse().headers["x-model-content"]
        for place, told in enumerate(api.load(run).predict(TEXTS)):
            found[f"{content} {place}"] = list(told["scores"].values())
    return found


def _load(port: int, run: Path, swaps: list[int]) -> None:
    body = {"lora_name": "swap", "lora_path": str(run), "load_inplace": True}
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    line.request("POST", "/v1/load_lora_adapter", json.dumps(body), JSON)
    answer = line.getresponse()
    if answer.status != 200:
        raise SystemExit(answer.read().decode())
    answer.read()
    swaps[0] += 1


def _swap(port: int, runs: Sequence[Path], ended: threading.Event, swaps: list[int]) -> None:
    while not ended.is_set():
        for run in runs:
            _load(port, run, swaps)
            ended.wait(0.1)


if __name__ == "__main__":
    main()
