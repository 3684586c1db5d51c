"""Trainings of one study import torch and Transformers once: a process that has imported them, and copies of it.

    with ForkServer() as server:
        child = server.start(["train", "recipe.yaml"], said)     as `python -P -m weitiao train recipe.yaml`

Imports take as long as a hundred small steps, and each of five folds paid for them.  The server (this file, run as a
program) computes nothing and reads no rows.  It begins with what the study says (`known`); of each child that ends it
hears which modules that had imported, imports them too, and the next child is forked with them there: whatever a training
needs is waited for once.  A child is a process as before: its memory is given back, kill -9 ends it alone, and its numbers
are the same to the bit.

Where nothing may be forked (Windows, macOS, a process with threads of its own, an accelerator, which a process may not
share with the one it was forked from), children are started anew.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe, reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any, Protocol

from weitiao.core import threads


class Child(Protocol):
    """What `subprocess.Popen` is here."""

    @property
    def returncode(self) -> int | None:
        """As it ended; minus the number of the signal that ended it."""

    def poll(self) -> int | None:
        """`returncode`, if it has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """`returncode`, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it goes on after so many seconds.
        """

    def send_signal(self, number: int, /) -> None:
        """To it alone; nothing where it has ended."""

    def terminate(self) -> None:
        """SIGTERM."""


def alone(words: Sequence[str], said: IO[bytes]) -> Child:
    """A child that is started anew.

    Args:
        words: of the command line, without `weitiao`.
        said: what it says on standard error comes here; the results lie in its folder.
    """
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "weitiao", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=said,
        env=_environment(),
        start_new_session=True,
    )


@dataclass
class ForkServer:
    """Starts children of one study; the server begins with the first of them, and ends with the study."""

    program: str = "weitiao"
    """The package that a child runs, as `python -m` does."""
    known: Sequence[str] = ()
    """Modules that a child will need, as far as they are known (`needed`)."""
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _line: Connection | None = field(default=None, init=False)
    _may: bool = field(default_factory=lambda: sys.platform == "linux", init=False)

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._line:
            self._line.close()  # which ends it
        if self._process:
            self._process.wait()

    def start(self, words: Sequence[str], said: IO[bytes]) -> Child:
        """A child with what those before it have imported; `alone` where that may not be."""
        if self._may:
            try:
                line = self._line or self._begin()
                line.send(list(words))
                reduction.send_handle(line, said.fileno(), self._process and self._process.pid)
                if pid := line.recv():
                    return _Forked(pid, line)
            except (OSError, EOFError):
                pass  # it has died: nobody needs it
            self._may = False
        return alone(words, said)

    def _begin(self) -> Connection:
        ours, theirs = Pipe()
        # Forked children inherit no handler of ours, and Ctrl-C reaches them from the study alone.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(theirs.fileno()), self.program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env=_environment(),
            start_new_session=True,
        )
        theirs.close()
        self._line = ours
        ours.send(list(self.known))
        return ours


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


@dataclass
class _Forked:
    """A child of the server."""

    pid: int
    line: Connection
    returncode: int | None = None

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            try:
                if not self.line.poll(timeout):
                    raise subprocess.TimeoutExpired("weitiao", timeout or 0)
                self.returncode = self.line.recv()
            except (OSError, EOFError):  # the server has died, and nobody else hears how the child ends
                self.returncode = -signal.SIGKILL
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
        return self.returncode

    def send_signal(self, number: int, /) -> None:
        # Called by handlers of signals, too: `wait` may be at the line just now, so that nothing is asked of it here.
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def serve(line: Connection) -> list[str] | None:
    """Fork a child for each request until the study ends.

    Returns:
        The words of the command line, in a child; None when the server itself is to end.
    """
    try:
        known: list[str] = line.recv()
    except EOFError:
        return None
    while True:
        try:
            words, said = line.recv(), reduction.recv_handle(line)
        except EOFError:
            return None
        if not _may_fork(known):
            line.send(0)
            return None
        with tempfile.TemporaryFile() as modules:
            pid = os.fork()
            if not pid:
                line.close()
                _begin_as_child(said, os.dup(modules.fileno()))
                return words
            os.close(said)
            line.send(pid)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            modules.seek(0)
            known = json.loads(modules.read() or "[]")
        with contextlib.suppress(OSError):  # the study is gone, and does not ask again
            line.send(code)


def _may_fork(names: Sequence[str]) -> bool:
    """Once these modules are imported."""
    for name in names:
        if name not in sys.modules:
            with contextlib.suppress(Exception):  # whatever it is, a child meets it where it needs it
                importlib.import_module(name)
    # What is here stays: the collector need not write to pages that all share.
    gc.freeze()
    torch: Any = sys.modules.get("torch")
    return threading.active_count() == 1 and not (torch and torch.accelerator.is_available())


def _begin_as_child(said: int, modules: int) -> None:
    """In a session of its own, as one that is started anew; when it ends, it says what it had imported."""
    os.setsid()
    os.dup2(said, 2)
    os.close(said)
    own = os.getpid()

    def tell() -> None:
        if os.getpid() == own:  # not a process that the child forked
            os.write(modules, json.dumps(_imported()).encode())

    atexit.register(tell)


def _leave(code: object) -> None:
    """As copies of a process do: what is taken apart on the way out, piece by piece, would be copied for that, and takes as
    long as two steps of a small model.  Where a thread is still to be waited for, nothing is done."""
    others = [one for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
    if isinstance(code, int) and not others:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _imported() -> list[str]:
    """What this process has imported: not what a user's files hold, which are no packages, for another study's may have the
    same name."""
    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders.append(str(Path(__file__).parents[1]))
    return [name for name, module in list(sys.modules.items()) if _of(module, name, folders)]


def needed() -> list[str]:
    """Of what this process has imported, what a training needs too, with all that lies beneath."""
    own = re.compile(r"(torch|transformers|weitiao(?!\.study))(\.|$)")
    return [name for name in _imported() if own.match(name)]


def _of(module: object, name: str, folders: Sequence[str]) -> bool:
    """Is it imported under its own name, from one of the folders?"""
    spec = getattr(module, "__spec__", None)
    return bool(spec and spec.name == name and spec.origin and spec.origin.startswith(tuple(folders)))


def main() -> None:
    """The server, and whatever is forked from it."""
    threads.settle(os.environ)
    _, line, program = sys.argv
    words = serve(Connection(int(line)))
    if words is not None:
        sys.argv = [program, *words]
        try:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        except SystemExit as leaving:
            _leave(leaving.code)
            raise


if __name__ == "__main__":
    main()
