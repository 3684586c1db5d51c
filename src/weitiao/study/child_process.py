"""A training in a process of its own: what it takes is its own, and however it ends, this process goes on.

    with Relay() as relay:
        train_apart(recipe, label="lora", relay=relay)  ->  Outcome(seconds=41.2, failure=None)
        Apart.begin(recipe, label="lora", relay=relay)  ->  one beside which others go on, until it has `ended`

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
    """SIGINT and SIGTERM go to the children, once each, which save a checkpoint and end; then we end too.

    Ctrl-C in a terminal reaches a whole group of processes, and two signals would end a training at once: so the
    child stands in a session of its own and hears of them from here alone.
    """

    start: Callable[[Sequence[str], IO[bytes]], Child] = alone
    """How a child comes to be."""
    caught: int = field(default=0, init=False)
    _children: tuple[Child, ...] = field(default=(), init=False)
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
        for child in self._children:
            child.send_signal(number)

    def watch(self, child: Child) -> None:
        """Signals go to `child` too from now on; one that came while it was being started goes to it at once."""
        self._children = (*self._children, child)
        if self.caught:
            child.send_signal(self.caught)

    def forget(self, child: Child) -> None:
        """It has ended."""
        self._children = tuple(each for each in self._children if each is not child)


@dataclass
class Apart:
    """A training in a process of its own, while it lasts."""

    recipe: Path
    label: str
    relay: Relay
    said: IO[bytes]
    child: Child
    log: Log
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def begin(
        cls,
        recipe: Path,
        *,
        label: str,
        relay: Relay,
        start: Callable[[Sequence[str], IO[bytes]], Child] | None = None,
        options: Sequence[str] = (),
    ) -> Apart:
        """Train the recipe, or go on with its run.

        Args:
            recipe: in the run folder.
            label: what errors call it.
            relay: passes signals on.
            start: how it comes to be; default: as the relay says.
            options: more words of the command line.
        """
        log = Log(recipe.parent / "log.jsonl")
        said = tempfile.TemporaryFile()  # noqa: SIM115  # `outcome` closes it
        words = ["train", os.path.abspath(recipe), "--resume", "--json", *options]
        child = (start or relay.start)(words, said)
        relay.watch(child)
        return cls(recipe, label, relay, said, child, log)

    def ended(self, timeout_s: float = LOOK_S) -> bool:
        """Has it ended, or does it within so many seconds?"""
        try:
            self.child.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        """Whoever listens has failed: it must not go on alone."""
        if self.child.poll() is None:
            self.child.terminate()
            self.child.wait()

    def outcome(self) -> Outcome:
        """How it ended."""
        self.relay.forget(self.child)
        with self.said as said:
            said.seek(max(0, said.seek(0, os.SEEK_END) - TAIL))
            words = said.read().decode("utf-8", "replace").splitlines()
        seconds, code = time.perf_counter() - self.started, self.child.wait()
        if code == 0:
            return Outcome(seconds, None)
        failure = _told(words) or _unsaid(self.label, self.recipe, code, words).to_dict()
        # Ended by a signal, or another process is at it.
        return Outcome(seconds, failure, goes_on=code < 0 or code > 128 or failure["error"] == "run_busy")


def train_apart(recipe: Path, *, label: str, relay: Relay, heard: Heard = lambda fact: None) -> Outcome:
    """Train the recipe, or go on with its run, in a process of its own; `heard` gets steps as they are logged."""
    apart = Apart.begin(recipe, label=label, relay=relay)
    try:
        while not apart.ended():
            if fact := apart.log.newest():
                heard(fact)
    finally:
        apart.stop()
        outcome = apart.outcome()
    return outcome


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
