"""The process that renders templates, from the side that asks: started once, watched, replaced when it hangs.

    ask(request)  ->  one reply a job

A thread cannot be stopped while one instruction runs, a signal reaches the main thread only, and a limit on memory
holds for a whole process; so a template is rendered in one of its own (`worker`).  It starts with the first
conversation (half a second), serves every later one, and ends with this process.  A rendering that takes longer
than `SECONDS` ends it, on every system; memory is limited where the system can do that (Linux).
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import IO, Any, cast

from weitiao.core.errors import fault
from weitiao.core.why import reason

SECONDS = 5.0
"""Without an answer for so long (at most twice as long), the process is ended."""
START_S = 120.0


def ask(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The replies to a request, in the order of its jobs; `worker` describes both.

    When the process had to be ended, the reply to the job it was at is a `fault`, and it is the last one.

    Raises:
        WeitiaoError: `no_helper` when the process cannot be started.
    """
    return _helper(os.getpid()).ask(request)


@lru_cache(maxsize=1)
def _helper(pid: int) -> Helper:
    # By process: one that was forked must not talk through its parent's pipe.
    helper = Helper()
    atexit.register(helper.close)
    return helper


class Helper:
    """One rendering process; several threads may ask it, one after another."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def ask(self, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        """See `sandbox.ask`."""
        jobs = request["jobs"]
        replies = self._exchange(request)
        if "ended" not in replies[-1] or len(jobs) == 1:
            return replies
        # Replies come in bundles, and the last ones were lost: asked alone, the job shows itself.
        before = replies[:-1]
        for job in jobs[len(before) :]:
            before += self._exchange({**request, "jobs": [job]})
            if "ended" in before[-1]:
                break
        return before

    def _exchange(self, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        line = json.dumps(request, default=lambda value: f"<{type(value).__name__}>").encode() + b"\n"
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self.close()
                self._process = self._start()
            try:
                # The process reads the whole request before it answers, so neither side waits for the other.
                return self._replies(self._process, len(request["jobs"]), line, seconds=SECONDS)
            except BaseException:  # half an exchange would answer the next question
                self.close()
                raise

    def close(self) -> None:
        """End the process, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in _pipes(process):
                with suppress(OSError):  # what was still to be written has nobody to read it
                    pipe.close()

    def _start(self) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "weitiao.data.chat.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": paths},
                start_new_session=True,  # Ctrl-C is for us, who may still have rows to render
            )
        except OSError as error:
            raise fault("no_helper", why=error) from error
        self._process = process
        if not self._replies(process, 1, b"", seconds=START_S)[0].get("ready"):
            self.close()
            raise fault(
                "no_helper", why=reason("helper_ended", program=sys.executable, code=process.returncode)
            )
        return process

    def _replies(
        self, process: subprocess.Popen[bytes], count: int, line: bytes, *, seconds: float
    ) -> list[dict[str, Any]]:
        """Send a request and read its replies, with a clock that ends the process when none comes."""
        requests, answers = _pipes(process)
        replies: list[dict[str, Any]] = []
        done, late = threading.Event(), threading.Event()

        heard = [0]  # lines, signs of progress among them

        def watch() -> None:
            before = -1
            while not done.wait(seconds):
                if before == heard[0]:
                    late.set()
                    process.kill()
                    return
                before = heard[0]

        clock = threading.Thread(target=watch, daemon=True)
        clock.start()
        try:
            with suppress(OSError):  # a broken pipe: reading finds the end too
                requests.write(line)
                requests.flush()
            while len(replies) < count:
                reply = answers.readline()
                if not reply.endswith(b"\n"):
                    process.wait()
                    why = (
                        reason("template_late", seconds=f"{seconds:g}") if late.is_set() else _ended(process)
                    )
                    return [*replies, {"fault": why, "ended": True}]
                heard[0] += 1
                if reply != b"null\n":
                    replies.append(json.loads(reply))
        finally:
            done.set()
            clock.join()
        return replies


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Of what it reads and what it writes; `_start` has asked for both."""
    return cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)


def _ended(process: subprocess.Popen[bytes]) -> str:
    return reason("template_ended", code=process.returncode)
