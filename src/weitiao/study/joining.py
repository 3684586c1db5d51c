"""A worker of a search that runs elsewhere: `weitiao search FOLDER --join`, on any machine that has the folder.

    join_search("/shared/runs/searched")     trains what the search asks for, until that has ended

The other side, and what lies in `workers/`: `study.elsewhere`.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from weitiao.core.errors import fault
from weitiao.core.files import write_json, write_text
from weitiao.core.why import reason
from weitiao.stages.events import Tell, listening
from weitiao.study import elsewhere
from weitiao.study.child_process import LOOK_S, TAIL, Relay
from weitiao.study.elsewhere import FOLDER, Beat, Beats, read
from weitiao.study.fork_server import Child, ForkServer


@dataclass
class _Job:
    """A training that is asked for."""

    number: int
    child: Child
    said: IO[bytes]
    passed: int = 0
    """Signals that it has had."""


def join_search(folder: str | Path, *, tell: Tell | None = None) -> int:
    """Train trials of a search that another process runs, until it has ended.

    The folder lies where all machines see it under the same path, on a file system whose locks reach across them (NFS 4 does).
    A trial that is trained here goes on there, and the other way round; on processors of another kind sums are rounded
    otherwise.

    Args:
        folder: of the search.
        tell: hears what happens; default: standard error.

    Returns:
        Trainings that were begun here.

    Raises:
        WeitiaoError: `cannot_join`: there is no search, nobody runs it, it lies under another path, or has other versions of
            weitiao, torch or Transformers; `let_go` where the search has taken this worker for dead.
    """
    study = Path(folder).absolute()
    workers = study / FOLDER
    with listening(tell, None) as (told, _, _), Relay() as relay:
        searching = _refused(study, workers)
        place = workers / f"{socket.gethostname()}-{os.getpid()}"
        place.mkdir(parents=True)
        beat, count = Beat(place / "beat"), 0
        told("notice", text=reason("search_joined", path=study, name=place.name))
        job: _Job | None = None
        with ForkServer() as server:
            try:
                while True:
                    beat.go()
                    if job is None:
                        if relay.caught or (place / "over").exists() or _left_alone(searching, workers):
                            write_text(place / "left", "")
                            return count
                        job = _begun(place, server, relay)
                        count += job is not None
                        time.sleep(LOOK_S if job is None else 0)
                    elif job.child.poll() is None:
                        _pass_on(place, job)
                        time.sleep(LOOK_S)
                    else:
                        _ended(place, job, relay)
                        job = None
            except FileNotFoundError:
                raise fault("let_go", path=study, name=place.name) from None
            finally:
                if job is not None and job.child.poll() is None:
                    job.child.terminate()
                    job.child.wait()


def _refused(study: Path, workers: Path) -> Beats:
    """The search's beats, once one has been heard.

    Raises:
        WeitiaoError: `cannot_join`.
    """
    facts = read(workers / "search.json")
    if not facts:
        raise fault("cannot_join", path=study, why=reason("no_search_here"))
    if facts["path"] != str(study):
        raise fault("cannot_join", path=study, why=reason("search_lies_elsewhere", path=facts["path"]))
    own = elsewhere.versions()
    if facts["versions"] != own:
        others = ", ".join(f"{name} {facts['versions'].get(name)}" for name in own)
        ours = ", ".join(f"{name} {value}" for name, value in own.items())
        raise fault(
            "cannot_join", path=study, why=reason("search_of_other_versions", others=others, ours=ours)
        )
    beats = Beats()
    while not beats.hear(workers / "beat"):
        if beats.silent_s(workers / "beat") > 10 * elsewhere.BEAT_S:
            raise fault("cannot_join", path=study, why=reason("search_not_running"))
        time.sleep(LOOK_S)
    return beats


def _left_alone(searching: Beats, workers: Path) -> bool:
    """Does nobody search any more?"""
    return searching.silent_s(workers / "beat") > elsewhere.LOST_S


def _begun(place: Path, server: ForkServer, relay: Relay) -> _Job | None:
    """What is asked for now, begun."""
    asked = read(place / "job.json")
    if not asked or asked["number"] == read(place / "done.json").get("number"):
        return None
    said = tempfile.TemporaryFile()  # noqa: SIM115  # `_ended` closes it
    child = server.start(asked["words"], said)
    relay.watch(child)
    return _Job(asked["number"], child, said)


def _pass_on(place: Path, job: _Job) -> None:
    """Signals that the search sends."""
    sent = read(place / "signals.json")
    if sent.get("number") == job.number:
        for number in sent["signals"][job.passed :]:
            job.child.send_signal(number)
        job.passed = len(sent["signals"])


def _ended(place: Path, job: _Job, relay: Relay) -> None:
    """Say how it ended."""
    relay.forget(job.child)
    with job.said as said:
        said.seek(max(0, said.seek(0, os.SEEK_END) - TAIL))
        words = said.read().decode("utf-8", "replace")
    if not place.is_dir():  # else it would be made anew
        raise FileNotFoundError(place)
    write_json(place / "done.json", {"number": job.number, "code": job.child.wait(), "said": words})
