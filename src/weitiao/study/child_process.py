"""A training in a process of its own: what it takes is its own, and however it ends, this process goes on.

    with Relay() as relay:
        train_apart(recipe, label="lora", relay=relay)  ->  Outcome(seconds=41.2, failure=None)

The child is `weitiao train RECIPE --resume --json`; it is followed by the lines that it adds to its log.jsonl.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any

from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.why import reason
from weitiao.study.fork_server import Child, alone

LOOK_S = 0.2  # between two looks at the child
TAIL = 8192  # bytes of a log, or of what a child said, that hold its last line
SIGNALS = (signal.SIGINT, signal.SIGTERM)

Heard = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Outcome:
    """How a training ended."""

    seconds: float
    """Of the whole process, by the clock."""
    failure: dict[str, Any] | None
    """`error` (its code), `message` and `exit`; None when it went well."""
    goes_on: bool = True
    """May it be gone on with?  Not where it ended by an error of its own, which is in its checkpoints perhaps."""


@dataclass
class Relay:
    """SIGINT and SIGTERM go to the child, once each, which saves a checkpoint and ends; then we end too.

    Ctrl-C in a terminal reaches a whole group of processes, and two signals would end a training at once: so the
    child stands in a session of its own and hears of them from here alone.
    """

    start: Callable[[Sequence[str], IO[bytes]], Child] = alone
    """How a child comes to be."""
    caught: int = field(default=0, init=False)
    _child: Child | None = field(default=None, init=False)
    _before: dict[int, Any] = field(default_factory=dict, init=False)

    def __enter__(self) -> Relay:
        if threading.current_thread() is threading.main_thread():  # no other may set handlers
            self._before = {number: signal.signal(number, self._pass_on) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.caught = number
        if self._child is not None:
            self._child.send_signal(number)

    def watch(self, child: Child | None) -> None:
        """Signals go to `child` from now on; one that came while it was being started goes to it at once."""
        self._child = child
        if child is not None and self.caught:
            child.send_signal(self.caught)


def train_apart(recipe: Path, *, label: str, relay: Relay, heard: Heard = lambda fact: None) -> Outcome:
    """Train the recipe, or go on with its run, in a process of its own; `heard` gets steps as they are logged."""
    log, started = Log(recipe.parent / "log.jsonl"), time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = relay.start(["train", os.path.abspath(recipe), "--resume", "--json"], said)
        relay.watch(child)
        try:
            while not _ended(child):
                if fact := log.newest():
                    heard(fact)
        finally:
            relay.watch(None)
            if child.poll() is None:  # whoever listens has failed: the child must not go on alone
                child.terminate()
                child.wait()
        said.seek(max(0, said.seek(0, os.SEEK_END) - TAIL))
        words = said.read().decode("utf-8", "replace").splitlines()
    seconds, code = time.perf_counter() - started, child.wait()
    if code == 0:
        return Outcome(seconds, None)
    failure = _told(words) or _unsaid(label, recipe, code, words).to_dict()
    # Ended by a signal, or another process is at it.
    return Outcome(seconds, failure, goes_on=code < 0 or code > 128 or failure["error"] == "run_busy")


def _ended(child: Child) -> bool:
    try:
        child.wait(timeout=LOOK_S)
    except subprocess.TimeoutExpired:
        return False
    return True


@dataclass
class Log:
    """The steps of a log that grows in another process."""

    path: Path
    _seen: tuple[int, int] = (0, 0)

    def newest(self) -> dict[str, Any] | None:
        """The last step, if the file has changed since the last look."""
        try:
            state = self.path.stat()
            if (state.st_size, state.st_mtime_ns) == self._seen:
                return None
            self._seen = state.st_size, state.st_mtime_ns
            with self.path.open("rb") as file:
                file.seek(max(0, state.st_size - TAIL))
                lines = file.read().split(b"\n")[:-1]  # the last one may be half written
        except FileNotFoundError:
            return None
        facts = (_json(line) for line in reversed(lines))
        return next((fact for fact in facts if fact.get("event") == "step"), None)


def _json(line: bytes | str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _told(words: list[str]) -> dict[str, Any] | None:
    """The coded error that the child said last."""
    fact = next((fact for fact in map(_json, reversed(words)) if "error" in fact), None)
    return fact and {key: fact[key] for key in ("error", "message", "exit")}


def _unsaid(label: str, recipe: Path, code: int, words: list[str]) -> WeitiaoError:
    """The error of a child that could not say one."""
    if code < 0:
        return fault("method_killed", label=label, signal=signal.Signals(-code).name)
    why = next((line.strip() for line in reversed(words) if line.strip()), reason("said_nothing"))
    return fault("method_crashed", label=label, number=code, why=why, recipe=recipe)
