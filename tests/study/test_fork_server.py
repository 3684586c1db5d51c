"""Children of a study find imported what those before them imported, and are processes of their own all the same.

The program that they run is a toy, so that they cost nothing; a module of the standard library stands for torch.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from types import SimpleNamespace

import pytest

from weitiao.study import fork_server
from weitiao.study.fork_server import ForkServer

TOY = """
import atexit, json, os, sys, threading, time
met = {name: name in sys.modules for name in ("colorsys", "of_a_user")}
import colorsys, of_a_user
out, code = sys.argv[1:]
facts = {"met": met, "session": os.getsid(0), "server": os.getppid(), "pid": os.getpid()}
open(out + ".part", "w").write(json.dumps(facts))
os.rename(out + ".part", out)
print("said", code, file=sys.stderr)
while code == "wait":
    time.sleep(0.02)
def late():
    time.sleep(0.2)
    print("waited for", file=sys.stderr)
if code == "thread":
    threading.Thread(target=late).start()
atexit.register(print, "left", file=sys.stderr)
sys.exit(7 if code == "thread" else int(code))
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__main__.py").write_text(TOY)
    (tmp_path / "of_a_user.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture
def said():
    with tempfile.TemporaryFile() as file:
        yield file


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are started anew there")


def facts(path) -> dict:
    for _ in range(1000):
        if path.exists():
            return json.loads(path.read_text())
        threading.Event().wait(0.02)
    raise AssertionError(path)


def test_what_one_imports_the_next_finds_imported(toy, tmp_path, said):
    with ForkServer("toy") as server:
        codes = [server.start([str(tmp_path / f"{code}"), code], said).wait() for code in ("0", "3")]
    assert codes == [0, 3]
    first, second = facts(tmp_path / "0"), facts(tmp_path / "3")
    assert first["met"] == {"colorsys": False, "of_a_user": False}
    assert second["met"] == {"colorsys": True, "of_a_user": False}, "a user's own files are read anew"
    assert first["server"] == second["server"] != os.getpid()
    assert [each["session"] == each["pid"] for each in (first, second)] == [True, True]
    said.seek(0)
    assert said.read() == b"said 0\nleft\nsaid 3\nleft\n"
    with pytest.raises(ProcessLookupError):
        os.kill(first["server"], 0)


def test_a_thread_that_goes_on_is_waited_for(toy, tmp_path, said):
    with ForkServer("toy") as server:
        assert server.start([str(tmp_path / "first"), "thread"], said).wait() == 7
    said.seek(0)
    assert said.read() == b"said thread\nwaited for\nleft\n"


def test_the_first_finds_what_the_study_says(toy, tmp_path, said):
    with ForkServer("toy", known=["colorsys"]) as server:
        assert server.start([str(tmp_path / "first"), "0"], said).wait() == 0
    assert facts(tmp_path / "first")["met"]["colorsys"]


def test_a_training_needs_nothing_of_the_study():
    names = fork_server.needed()
    assert "weitiao.core.threads" in names
    assert not [name for name in names if name.startswith(("weitiao.study", "pytest"))]


def test_one_that_is_killed_ends_alone(toy, tmp_path, said):
    with ForkServer("toy") as server:
        child = server.start([str(tmp_path / "first"), "wait"], said)
        assert child.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.01)
        os.kill(facts(tmp_path / "first")["pid"], signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        child.terminate()  # nothing any more
        again = server.start([str(tmp_path / "second"), "wait"], said)
        facts(tmp_path / "second")
        again.terminate()
        assert again.wait() == -signal.SIGTERM


def test_without_the_server_nobody_goes_on_unseen_and_the_next_is_started_anew(
    toy, tmp_path, said, monkeypatch
):
    anew = []
    monkeypatch.setattr(fork_server, "alone", lambda words, said: anew.append(words))
    with ForkServer("toy") as server:
        child = server.start([str(tmp_path / "first"), "wait"], said)
        found = facts(tmp_path / "first")
        os.kill(found["server"], signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        server.start(["next"], said)
    assert anew == [["next"]]


@pytest.mark.parametrize("why", ["a thread", "an accelerator"])
def test_where_a_copy_would_not_do_none_is_made(why, monkeypatch):
    torch = SimpleNamespace(accelerator=SimpleNamespace(is_available=lambda: why == "an accelerator"))
    monkeypatch.setitem(sys.modules, "torch", torch)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    if why == "a thread":
        thread.start()
    try:
        assert not fork_server._may_fork([])
    finally:
        done.set()
        gc.unfreeze()


def test_where_none_may_be_forked_they_are_started_anew(said, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    anew = []
    monkeypatch.setattr(fork_server, "alone", lambda words, said: anew.append(words))
    with ForkServer() as server:
        server.start(["train", "r.yaml"], said)
    assert anew == [["train", "r.yaml"]]
