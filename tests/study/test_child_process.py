"""A child may end as it likes: what becomes of it is told, and nothing of it reaches this process.

The children here are shell scripts in the place of Python, so that they cost nothing.
"""

from __future__ import annotations

import os
import signal
import sys

import pytest

from weitiao.study.child_process import Log, Relay, train_apart


@pytest.fixture
def ends(tmp_path, monkeypatch):
    """`ends("exit 3")`: what is told of a child whose script that is; `$5` is the recipe it is given."""

    def ends(script: str, *, heard=lambda fact: None, relay: Relay | None = None):
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\nHERE=$(dirname $5)\n{script}\n")
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))
        with relay or Relay() as passed:
            return train_apart(tmp_path / "recipe.yaml", label="lora:r=4", relay=passed, heard=heard)

    return ends


def test_one_that_ends_well(ends, tmp_path):
    found = ends('echo "$@" > $HERE/words; echo noise >&2')
    assert found.failure is None
    assert 0 < found.seconds < 60
    words = (tmp_path / "words").read_text().split()
    assert words == ["-P", "-m", "weitiao", "train", str(tmp_path / "recipe.yaml"), "--resume", "--json"]


def test_one_that_says_its_error(ends):
    said = '{"error": "not_finite", "message": "[not_finite] step 3\\nWay out: lower it", "exit": 5}'
    found = ends(f"echo noise >&2; printf '%s\\n' '{said}' >&2; echo 'and more noise' >&2; exit 5")
    assert found.failure["error"] == "not_finite"
    assert found.failure["message"].splitlines()[0] == "[not_finite] step 3"
    assert found.failure["exit"] == 5
    assert not found.goes_on, "its checkpoints may hold what made it fail"


def test_one_that_is_killed(ends):
    found = ends("kill -9 $$")
    assert found.failure["error"] == "method_killed"
    assert "lora:r=4" in found.failure["message"]
    assert "SIGKILL" in found.failure["message"]
    assert found.goes_on


def test_one_that_dies_without_a_word(ends):
    found = ends("echo 'Traceback' >&2; echo 'ImportError: no module' >&2; exit 1")
    assert found.failure["error"] == "method_crashed"
    assert "code 1: ImportError: no module" in found.failure["message"]
    assert "it said nothing" in ends("exit 9").failure["message"]


STEP = '{"event": "step", "step": 7, "epoch": 0.5, "loss": 1.0}'


def test_steps_are_heard_and_a_signal_is_passed_on_once(ends, tmp_path):
    """As after Ctrl-C: the child is given time to save, and this process goes on."""
    before, relay = signal.getsignal(signal.SIGINT), Relay()
    script = f"""
    trap 'echo INT >> $HERE/caught; sleep 0.3; exit 130' INT
    echo '{STEP}' > $HERE/log.jsonl
    while :; do sleep 0.05; done"""
    heard = []

    def stop(fact):
        heard.append(fact)
        os.kill(os.getpid(), signal.SIGINT)

    found = ends(script, heard=stop, relay=relay)
    assert [fact["step"] for fact in heard] == [7]
    assert relay.caught == signal.SIGINT
    assert (tmp_path / "caught").read_text() == "INT\n"
    assert found.goes_on
    assert signal.getsignal(signal.SIGINT) is before


def test_a_listener_that_fails_leaves_no_child_behind(ends, tmp_path):
    script = f"echo $$ > $HERE/pid; echo '{STEP}' > $HERE/log.jsonl; while :; do sleep 0.05; done"

    def fail(fact):
        raise RuntimeError("the terminal is gone")

    with pytest.raises(RuntimeError):
        ends(script, heard=fail)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_log_is_read_while_it_is_written(tmp_path):
    log, file = Log(tmp_path / "log.jsonl"), tmp_path / "log.jsonl"
    assert log.newest() is None
    file.write_text(STEP + "\n" + '{"event": "evaluate", "step": 7}\n{"event": "st')
    assert log.newest()["step"] == 7
    assert log.newest() is None, "nothing new"
    with file.open("a") as more:
        more.write('ep", "step": 8}\n')
    assert log.newest()["step"] == 8
