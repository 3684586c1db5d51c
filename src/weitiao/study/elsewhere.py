"""Lanes of a search on other machines that share its folder: who has joined, and trainings that are asked of them.

    with Floor(folder) as floor:
        for name, start in floor.free():    workers that wait (`weitiao search FOLDER --join`, `study.joining`)
            child = start(["train", ...], said)

Everything is said by files below `workers/`, each written whole: `beat` and `search.json` by the search, and for each worker a
folder with `beat`, `left` and `done.json` by the worker, `job.json`, `signals.json` and `over` by the search.  A beat is a
number that grows.  Whoever listens to one tells by a clock of its own for how long it has stood still, so that no two clocks
are ever compared; a worker beats from the loop that looks after its training.  One whose beat stands still for `LOST_S` is
taken for dead: its folder is deleted, by which it knows, should it live, and its trial goes on elsewhere from its last
checkpoint, once nobody holds that run folder's lock.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import IO, Any

from weitiao.core.files import write_json, write_text
from weitiao.study.fork_server import Child

FOLDER = "workers"
BEAT_S = 1.0
"""Seconds between two beats."""
LOST_S = 60.0
"""Whoever has not been heard for so many seconds is taken for dead."""
LOOK_S = 0.05
Start = Callable[[Sequence[str], IO[bytes]], Child]


def read(path: Path) -> dict[str, Any]:
    """A file of the other side; empty where there is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not yet there, or a shared folder that is away for a moment
        return {}
    return found


def versions() -> dict[str, str]:
    """What trainings that are to be the same must have in common."""
    return {name: version(name) for name in ("weitiao", "torch", "transformers")}


@dataclass
class Beats:
    """Beats that one side hears, by its own clock."""

    _heard: dict[Path, tuple[str, float]] = field(default_factory=dict)
    _alive: set[Path] = field(default_factory=set)

    def hear(self, path: Path) -> bool:
        """Does it beat?  Not before it has been seen to grow: what a dead one has left behind does not."""
        try:
            now = path.read_text(encoding="utf-8")
        except OSError:
            now = ""
        before, when = self._heard.get(path, (now, time.monotonic()))
        if now != before:
            self._alive.add(path)
            when = time.monotonic()
        self._heard[path] = now, when
        return path in self._alive

    def silent_s(self, path: Path) -> float:
        """For how long it has stood still."""
        self.hear(path)
        return time.monotonic() - self._heard[path][1]


@dataclass
class Beat:
    """Own beats."""

    path: Path
    _count: int = 0
    _last: float = float("-inf")

    def go(self) -> None:
        """One more, where it is time for one.

        Raises:
            FileNotFoundError: its folder is gone.
        """
        if time.monotonic() - self._last >= BEAT_S:
            self._count, self._last = self._count + 1, time.monotonic()
            # Not by a rename into a folder that may be gone: whoever is let go must hear of it.
            with self.path.open("w", encoding="utf-8") as file:
                file.write(str(self._count))


@dataclass
class Floor:
    """The workers of a search."""

    study: Path
    _beats: Beats = field(default_factory=Beats)

    def __enter__(self) -> Floor:
        self.folder = self.study / FOLDER
        self.folder.mkdir(exist_ok=True)
        for name in self._there():  # they wait for whoever searches now
            (self.folder / name / "over").unlink(missing_ok=True)
        facts = {"path": str(self.study.absolute()), "versions": versions()}
        write_json(self.folder / "search.json", facts)
        self._own = Beat(self.folder / "beat")
        return self

    def __exit__(self, *exception: object) -> None:
        for name in self._there():
            write_text(self.folder / name / "over", "")

    def free(self) -> Iterator[tuple[str, Start]]:
        """Those that live and have nothing to do."""
        self._own.go()
        for name in self._there():
            place = self.folder / name
            if self._beats.silent_s(place / "beat") > LOST_S or (place / "left").exists():
                self.let_go(name)
            elif self._beats.hear(place / "beat") and _number(place / "job.json") == _number(
                place / "done.json"
            ):
                yield name, partial(self._start, name)

    def lost(self, name: str) -> bool:
        """Has nothing been heard of it for too long, or has it gone?"""
        self._own.go()
        place = self.folder / name
        return not place.is_dir() or self._beats.silent_s(place / "beat") > LOST_S

    def let_go(self, name: str) -> None:
        """It is no worker any more."""
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def _there(self) -> list[str]:
        return sorted(path.parent.name for path in self.folder.glob("*/beat"))

    def _start(self, name: str, words: Sequence[str], said: IO[bytes]) -> Child:
        place = self.folder / name
        number = _number(place / "job.json") + 1
        write_json(place / "job.json", {"number": number, "words": list(words)})
        return _Far(self, name, number, said)


@dataclass
class _Far:
    """A training on another machine."""

    floor: Floor
    name: str
    number: int
    said: IO[bytes]
    returncode: int | None = None
    _signals: list[int] = field(default_factory=list)

    def poll(self) -> int | None:
        try:
            self.wait(0)
        except subprocess.TimeoutExpired:
            return None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        until = float("inf") if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            done = read(self.floor.folder / self.name / "done.json")
            if done.get("number") == self.number:
                self.said.write(done["said"].encode())
                self.returncode = int(done["code"])
            elif self.floor.lost(self.name):
                self.floor.let_go(self.name)
                self.returncode = -SIGKILL
            elif time.monotonic() >= until:
                raise subprocess.TimeoutExpired("weitiao", timeout or 0)
            else:
                time.sleep(min(LOOK_S, max(0.0, until - time.monotonic())))
        return self.returncode

    def send_signal(self, number: int, /) -> None:
        place = self.floor.folder / self.name
        if self.returncode is None and place.is_dir():
            self._signals.append(int(number))
            write_json(place / "signals.json", {"number": self.number, "signals": self._signals})

    def terminate(self) -> None:
        self.send_signal(SIGTERM)


def _number(path: Path) -> int:
    return int(read(path).get("number", 0))
