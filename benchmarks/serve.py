"""Serving: ours beside FastAPI with Transformers one by one, asked by the same clients.

    python -m benchmarks.serve [--kind labels|chat] [--requests 400] [--clients 16] [--rounds 2] [--threads 1] [--bf16] [--json FILE]
    python -m benchmarks.serve --run runs/reviews --many 100000 [--backend onnx]

Each server is a process of its own, in turn, round by round, on one model, in float32 unless `--bf16`.  Closed loop: each of
the clients asks again as soon as it is answered; requests a second by the wall clock, and CPU milliseconds a request (a token)
of the server alone, which other work on the machine changes less.  Then, for labels, an open loop: arrivals of a Poisson
process at 70 % of the ceiling that was just found, each latency from the intended moment.  Answers of both must agree.

`--many`: so many short requests by four clients that keep their connections, and the memory of the server after each tenth.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import columns, environment, machine, rounds, say

SYSTEMS = {"ours": "weitiao serve", "peer": "FastAPI + Transformers, one by one"}
DATA = {"labels": ("minilm-l6", "film-reviews"), "chat": ("smollm2-135m", "alpaca-en")}
TOKENS = 32
"""Of every answer of a conversation, at most."""
SHARE = 0.7
"""Of the ceiling, at which the open loop asks."""


def main(words: Sequence[str] | None = None) -> None:
    """Make a run, serve it in turn by both, print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=DATA, default="labels")
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of every server (default: 1)")
    parser.add_argument(
        "--bf16", action="store_true", help="products of ours in bfloat16, as runs are judged by default"
    )
    parser.add_argument("--run", type=Path, help="a run that labels texts, to be asked --many times")
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--backend", default="torch", help="of --run")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    asked = parser.parse_args(words)
    if asked.run:
        say(machine(threads=asked.threads))
        print(many(asked))
        return
    with tempfile.TemporaryDirectory(prefix="weitiao-bench-") as temporary:
        folder = Path(temporary)
        say(facts := machine(threads=asked.threads))
        texts = made(asked.kind, folder, asked.requests, bf16=asked.bf16)
        said: dict[str, list[Any]] = {}

        def measure(system: str, turn: int) -> dict[str, Any]:
            with_open = asked.kind == "labels"
            found, said[system] = served(system, asked, folder, texts, with_open=with_open)
            return found

        runs = rounds(SYSTEMS, asked.rounds, measure)
        agree = statistics.fmean(a == b for a, b in zip(said["ours"], said["peer"], strict=True))
        print(table(runs, agree), flush=True)
    if asked.json:
        text = json.dumps({"machine": facts, "runs": runs, "agree": agree}, indent=2)
        asked.json.write_text(text + "\n", encoding="utf-8")


def made(kind: str, folder: Path, count: int, *, bf16: bool) -> list[str]:
    """A tuned run, its plain form, and texts to ask about."""
    from weitiao import api
    from weitiao.core.contracts import Record
    from weitiao.core.recipe import Data
    from weitiao.data.read import read
    from weitiao.stages.data import located

    model, data = DATA[kind]
    run = api.train(
        model=model,
        task="sft" if kind == "chat" else "text_classification",
        data={"train": f"{data}#{200 if kind == 'chat' else 400}"},
        method="lora",
        train={
            "max_steps": 10,
            "bf16": bf16,
            "eval_strategy": "no",
            "load_best_model_at_end": False,
            "early_stopping_patience": None,
        },
        evaluate={"answers": 0} if kind == "chat" else {},
        output_dir=str(folder / "run"),
    )
    run.merge(folder / "plain")
    (source,) = read(located(Data(train=[f"{data}#{count}"])).train)
    rows = [row.values for row in source.rows() if isinstance(row, Record)][:count]
    return [row["instruction"] if kind == "chat" else row["text"] for row in rows]


def served(
    system: str, asked: Any, folder: Path, texts: Sequence[str], *, with_open: bool
) -> tuple[dict[str, Any], list[Any]]:
    """What one server does, and what it said."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = {
        "ours": ["weitiao", "serve", folder / "run", "--port", port, "--timeout", 600, "--queue", 4096],
        "peer": ["benchmarks.serve", "peer", asked.kind, folder / "plain", port],
    }[system]
    started = time.perf_counter()
    server = _begun(command, port, environment(asked.threads, folder))
    try:
        start_cpu_s, ready_s = _cpu_s(server.pid), time.perf_counter() - started
        ask = _asker(system, asked.kind, port)
        ask(texts[0])  # what is measured or compiled once
        before, began = _cpu_s(server.pid), time.perf_counter()
        said = closed(ask, texts, clients=asked.clients)
        took, cpu_s = time.perf_counter() - began, _cpu_s(server.pid) - before
        found = {
            "cpu_s": cpu_s,
            "requests_per_s": len(texts) / took,
            "cpu_ms": 1e3 * cpu_s / len(texts),
            "tokens": sum(tokens for _, tokens in said),
            "start_cpu_s": start_cpu_s,
            "ready_s": ready_s,
            "peak_rss_mb": _peak_mb(server.pid),
        }
        if with_open:
            late = opened(ask, texts, per_s=SHARE * found["requests_per_s"])
            found |= {
                "p50_ms": 1e3 * statistics.median(late),
                "p99_ms": 1e3 * sorted(late)[int(0.99 * len(late))],
            }
        return found, [answer for answer, _ in said]
    finally:
        server.terminate()
        server.wait()


def many(asked: Any) -> str:
    """The memory of a server behind each tenth of so many requests, and what they took."""
    import http.client
    import os

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["weitiao", "serve", asked.run, "--port", port, "--timeout", 600, "--backend", asked.backend]
    server = _begun(command, port, {**os.environ, "OMP_NUM_THREADS": str(asked.threads)})
    start_cpu_s, wrong = _cpu_s(server.pid), 0

    def client(first: int) -> None:
        nonlocal wrong
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        for number in range(first, first + asked.many // 40):
            body = json.dumps({"inputs": f"a film of {number} words"})
            line.request("POST", "/predict", body, {"content-type": "application/json"})
            answer = line.getresponse()
            answer.read()
            wrong += answer.status != 200

    rows = [["requests", "resident MB"], ["0", f"{_peak_mb(server.pid, 'VmRSS'):.1f}"]]
    try:
        for tenth in range(10):
            firsts = (tenth * asked.many + part * asked.many // 40 for part in range(4))
            clients = [threading.Thread(target=client, args=(first,)) for first in firsts]
            for each in clients:
                each.start()
            for each in clients:
                each.join()
            rows.append([str((tenth + 1) * asked.many // 10), f"{_peak_mb(server.pid, 'VmRSS'):.1f}"])
            print(rows[-1], flush=True)
        each_ms = 1e3 * (_cpu_s(server.pid) - start_cpu_s) / asked.many
    finally:
        server.terminate()
        server.wait()
    told = f"start to ready {start_cpu_s:.2f} CPU s; {each_ms:.2f} CPU ms a request; not answered: {wrong}"
    return "\n".join([*columns(rows), told])


def _begun(command: Sequence[Any], port: int, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    server = subprocess.Popen(
        [sys.executable, "-m", *map(str, command)], env=dict(env), stderr=subprocess.DEVNULL
    )
    while not _there(port):
        if server.poll() is not None:
            raise SystemExit(f"{command[0]} did not begin")
        time.sleep(0.2)
    return server


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


def _asker(system: str, kind: str, port: int) -> Callable[[str], tuple[Any, int]]:
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
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1):
            return True
    except OSError:
        return False


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, user and system (Linux; `man 5 proc`)."""
    import os

    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int, what: str = "VmHWM") -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if what in line)
    return int(line.split()[1]) * 1024 / 1e6


def table(runs: Mapping[str, Sequence[Mapping[str, Any]]], agree: float) -> str:
    """Medians of each system, and the ratio of each round."""

    def middle(system: str, key: str) -> float:
        return statistics.median(run[key] for run in runs[system])

    keys = ("requests_per_s", "cpu_ms", "tokens", "start_cpu_s", "ready_s", "peak_rss_mb", "p50_ms", "p99_ms")
    shown = [key for key in keys if key in runs["ours"][0]]
    rows = [["", *shown]]
    rows += [[SYSTEMS[system], *(f"{middle(system, key):.1f}" for key in shown)] for system in SYSTEMS]
    per_token = "requests" if middle("ours", "tokens") == len(runs["ours"]) else "tokens"
    ratios = [
        (theirs["cpu_s"] / theirs["tokens"]) / (ours["cpu_s"] / ours["tokens"])
        for ours, theirs in zip(runs["ours"], runs["peer"], strict=True)
    ]
    told = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    return f"{chr(10).join(columns(rows))}\n{per_token} a CPU second, ours over theirs, by round: {told}; answers agree: {agree:.3f}"


def peer(kind: str, folder: str, port: int) -> None:
    """FastAPI and Transformers as their tutorials put them together: one request after the other."""
    import fastapi
    import torch
    import transformers
    import uvicorn

    auto = (
        transformers.AutoModelForCausalLM
        if kind == "chat"
        else transformers.AutoModelForSequenceClassification
    )
    model = auto.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    app, lock = fastapi.FastAPI(), threading.Lock()

    @app.get("/ready")
    def ready() -> dict[str, str]:
        return {}

    @app.post("/predict")
    def predict(body: dict[str, Any]) -> list[dict[str, Any]]:
        with lock, torch.inference_mode():
            read = tokenizer(body["inputs"], truncation=True, return_tensors="pt")
            scores = model(**read).logits[0].softmax(-1)
        best = scores.argsort(descending=True).tolist()
        return [{"label": model.config.id2label[place], "score": float(scores[place])} for place in best]

    @app.post("/v1/chat/completions")
    def chat(body: dict[str, Any]) -> dict[str, Any]:
        with lock, torch.inference_mode():
            words = {"add_generation_prompt": True, "return_tensors": "pt", "return_dict": True}
            read = tokenizer.apply_chat_template(body["messages"], **words)
            made = model.generate(**read, max_new_tokens=body["max_tokens"], do_sample=False)
        ids = made[0, read["input_ids"].shape[1] :]
        text = tokenizer.decode(ids, skip_special_tokens=True).strip()
        tokens = int((ids != model.generation_config.eos_token_id).sum())
        return {"choices": [{"message": {"content": text}}], "usage": {"completion_tokens": tokens}}

    uvicorn.run(app, port=port, log_config=None)


if __name__ == "__main__":
    if sys.argv[1:2] == ["peer"]:
        peer(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
