"""Toy runs, and a server that listens at a port, as users have it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn

from tests.conftest import dialogues, reviews, small_run, write_csv, write_jsonl
from tests.talking import wordy as wordy
from weitiao import api
from weitiao.serve.app import Server, serving
from weitiao.serve.guard import Limits
from weitiao.serve.listen import bound

QUICK: dict[str, Any] = {
    "max_steps": 3,
    "learning_rate": 0.01,
    "eval_strategy": "no",
    "load_best_model_at_end": False,
}


@pytest.fixture(scope="session")
def labels(bert, tmp_path_factory) -> dict[str, api.Run]:
    """Two adapters of one base, which label."""
    folder = tmp_path_factory.mktemp("labels")
    rows = write_csv(folder / "reviews.csv", reviews(80))
    found = {}
    for seed, name in enumerate(("first", "second")):
        recipe = small_run(bert, "text_classification", rows, folder / name, batch=8, judge={})
        found[name] = api.train(recipe(method="lora", seed=seed, **QUICK))
    return found


@pytest.fixture(scope="session")
def talk(wordy, tmp_path_factory) -> api.Run:
    """A run that is talked with."""
    folder = tmp_path_factory.mktemp("talk")
    rows = write_jsonl(folder / "talk.jsonl", dialogues(60))
    recipe = small_run(wordy, "sft", rows, folder / "talk", batch=8, judge={"samples": 0, "answers": 0})
    return api.train(recipe(method="lora", **QUICK))


@dataclass
class Listening:
    """A server at a port."""

    server: Server
    address: str
    runner: uvicorn.Server
    thread: threading.Thread

    def end(self) -> None:
        self.runner.should_exit = True
        self.thread.join(20)
        self.server.close()


def listening(*runs: Any, **words: Any) -> Listening:
    server = serving([("", run.path) for run in runs], **words)
    listener = bound("127.0.0.1", 0)
    config = uvicorn.Config(server.app, log_config=None, lifespan="off")
    runner = uvicorn.Server(config)
    thread = threading.Thread(target=runner.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not runner.started:
        time.sleep(0.01)
    return Listening(server, f"http://127.0.0.1:{listener.getsockname()[1]}", runner, thread)


@pytest.fixture(scope="session")
def served(labels, talk) -> Iterator[Listening]:
    """All toy runs at one port."""
    found = listening(*labels.values(), talk, limits=Limits(body_mb=0.2))
    yield found
    found.end()
