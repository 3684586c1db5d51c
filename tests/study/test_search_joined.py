"""Workers join a search through its folder: what they train is what it would have trained, whoever dies on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import weitiao as wt
from tests.conftest import reviews, write_csv
from tests.study.searched import asked
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.study import elsewhere
from weitiao.study.elsewhere import FOLDER, Floor

pytestmark = pytest.mark.whole
WORDS = {"how": "random", "trials": 4, "space": ["train.learning_rate=1e-4..3e-2:log"]}


def weitiao(*words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "weitiao", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def joined(folder: Path) -> subprocess.Popen[str]:
    return weitiao("search", folder, "--join", "--json")


def wait_for(what, seconds: float = 60.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.02)
    return pytest.fail("it did not come to that")


def test_trials_that_workers_train_are_those_of_one_search_though_one_is_killed(bert, tmp_path, monkeypatch):
    monkeypatch.setattr(elsewhere, "LOST_S", 10.0)  # a slow machine's worker may stand still for some seconds
    rows = write_csv(tmp_path / "reviews.csv", reviews(120))
    recipe = asked(bert, rows, tmp_path / "joined")
    alone = wt.search(asked(bert, rows, tmp_path / "alone"), **WORDS, tell=lambda *_, **__: None)
    workers: list[subprocess.Popen[str]] = []

    def tell(event: str, **facts: object) -> None:
        # The folder is there, and nobody beats yet: the search waits until both have joined.
        if event == "searching":
            workers.extend([joined(tmp_path / "joined"), joined(tmp_path / "joined")])
            before = Floor(tmp_path / "joined").__enter__()
            wait_for(lambda: len(list(before.free())) == len(workers), 120)
        if event == "step" and workers and (jobs := list((tmp_path / "joined" / FOLDER).glob("*/job.json"))):
            (pid,) = {int(path.parent.name.rpartition("-")[2]) for path in jobs[:1]}
            for worker in [one for one in workers if one.pid == pid]:
                worker.send_signal(signal.SIGKILL)
                worker.communicate(timeout=30)
                workers.remove(worker)
                killed.append(worker)

    killed: list[subprocess.Popen[str]] = []
    found = wt.search(recipe, **WORDS, tell=tell)
    for worker in workers:
        said, error = worker.communicate(timeout=60)
        assert worker.returncode == 0, error
        assert "trained" in json.loads(said)
    assert [row["state"] for row in found.results["trials"]] == ["complete"] * 4
    for ours, theirs in zip(found.results["trials"], alone.results["trials"], strict=True):
        assert (ours["values"], ours["goals"]) == (theirs["values"], theirs["goals"])
        log = read_lines(found.path / ours["folder"] / "log.jsonl")
        steps = [fact["step"] for fact in log if fact["event"] == "step"]
        assert steps == sorted(set(steps)), "no step twice"
    assert killed
    # Trials that are begun elsewhere are told in `workers/`; what has left is cleared away by the next search.
    with Floor(found.path) as floor:
        wait_for(lambda: not list(floor.free()) and not list((found.path / FOLDER).glob("*/left")), 10)


@pytest.fixture
def floor(tmp_path):
    """A search that has nothing to train, and beats."""
    (tmp_path / "study").mkdir()
    with Floor(tmp_path / "study") as found:
        yield found


def test_a_worker_does_what_is_asked_hears_signals_and_goes_when_it_is_over(floor, tmp_path):
    worker = joined(floor.study)
    name, start = wait_for(lambda: next(floor.free(), None))
    with (tmp_path / "said").open("w+b") as said:
        child = start(["methods", "nothing-of-this-name", "--json"], said)
        assert not list(floor.free()), "it is busy"
        assert child.wait(60) == 2
        said.seek(0)
        assert b"nothing-of-this-name" in said.read()
        # What waits for a second word on standard input would wait for ever: it is ended by the search.
        child = start(["serve", str(tmp_path / "none")], said)
        child.terminate()
        assert child.wait(60) != 0
    floor.__exit__()
    said, error = worker.communicate(timeout=30)
    assert worker.returncode == 0, error
    assert json.loads(said) == {"trained": 2}
    assert (floor.folder / name / "left").exists()


def test_one_that_was_taken_for_dead_hears_of_it(floor):
    worker = joined(floor.study)
    name, _ = wait_for(lambda: next(floor.free(), None))
    floor.let_go(name)
    _, error = worker.communicate(timeout=30)
    assert worker.returncode == 5
    assert "let_go" in error
    assert "Traceback" not in error


def test_who_cannot_join_is_told_why(floor, tmp_path, monkeypatch):
    monkeypatch.setattr(elsewhere, "BEAT_S", 0.05)
    with pytest.raises(WeitiaoError, match="cannot_join") as caught:
        wt.join_search(tmp_path / "nowhere")
    assert "no search in it" in str(caught.value)
    with pytest.raises(WeitiaoError, match="nobody runs that search"):
        wt.join_search(floor.study)
    (tmp_path / "other").symlink_to(floor.study)
    with pytest.raises(WeitiaoError, match="named by their paths"):
        wt.join_search(tmp_path / "other")
    facts = json.loads((floor.folder / "search.json").read_text())
    facts["versions"]["torch"] = "1.0"
    (floor.folder / "search.json").write_text(json.dumps(facts))
    with pytest.raises(WeitiaoError, match="torch 1.0"):
        wt.join_search(floor.study)
