"""What training says while it goes on: lines where there is no terminal, a bar of 80 columns where there is one."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

import weitiao as wt
from tests.conftest import rarely
from weitiao.core.files import read_lines
from weitiao.terminal import screen
from weitiao.terminal.bars import clock, megabytes
from weitiao.terminal.meter import Meter
from weitiao.terminal.show import Show

LINE = re.compile(r"epoch (\S+), step (\d+)/(\d+): loss (\S+)  rate (\S+)  (\S+) tokens/s(.*)")


def trained(recipe: dict, monkeypatch, **console) -> tuple[str, list[dict]]:
    """What a run says on standard error, and its log."""
    said = io.StringIO()
    monkeypatch.setattr(screen, "err", Console(file=said, highlight=False, soft_wrap=True, **console))
    with Show() as show:
        run = wt.train(recipe, tell=show.tell, watchers=show.watchers())
    return said.getvalue(), read_lines(run.path / "log.jsonl")


@pytest.mark.parametrize(
    ("every", "lines"), [(4, [1, 4, 8, 10]), rarely(0.25, [1, 3, 6, 9, 10]), rarely(20, [1, 10])]
)
def test_without_a_terminal_there_is_a_line_at_once_and_every_so_many_steps(
    classify, monkeypatch, every, lines
):
    said, log = trained(classify(max_steps=10, logging_steps=every, eval_strategy="no",
                                 load_best_model_at_end=False), monkeypatch)  # fmt: skip
    steps = [line for line in log if line["event"] == "step"]
    found = LINE.findall(said)
    assert [int(step) for _, step, *_ in found] == lines
    for before, (epoch, step, total, loss, rate, _, _) in zip([0, *lines], found, strict=False):
        own = steps[before : int(step)]
        assert float(loss) == pytest.approx(sum(line["loss"] for line in own) / len(own), rel=1e-3)
        assert float(rate) == pytest.approx(own[-1]["learning_rate"], rel=5e-3)
        assert (float(epoch), total) == (pytest.approx(own[-1]["epoch"], abs=5e-3), "10")
    if Path("/proc/self/statm").exists():
        assert all("memory" in rest for *_, rest in found)
    assert ["left" in rest for *_, rest in found] == [True] * (len(lines) - 1) + [False]


@pytest.mark.whole
def test_speed_is_that_of_the_last_steps(classify, monkeypatch):
    said, log = trained(classify(num_train_epochs=2, logging_steps=1), monkeypatch)
    steps = [line for line in log if line["event"] == "step"]
    (*_, speed, _) = LINE.findall(said)[-1]
    last = steps[-20:]
    assert len(steps) > 20
    exact = sum(line["tokens"] for line in last) / sum(line["seconds"] for line in last)
    assert int(speed.replace(",", "")) == pytest.approx(exact, abs=1)


def test_in_a_terminal_there_is_a_bar_and_no_line(classify, monkeypatch):
    said, _ = trained(
        classify(max_steps=6, logging_steps=1, eval_on_start=True),
        monkeypatch, force_terminal=True, width=80, color_system=None,
    )  # fmt: skip
    assert not LINE.search(said)
    drawn = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "\n", said))
    bars = [line for line in drawn if line.startswith("train ━")]
    figures = [line for line in drawn if "tokens/s" in line]
    assert any(re.search("100% 6/6 +0:00:", line) for line in bars)
    assert all(len(line) <= 80 for line in bars + figures)
    assert "step 0: validation loss" in said


def test_quiet_says_nothing():
    assert Show(quiet=True).watchers() == []


def test_figures_are_short():
    assert [clock(None), clock(-1), clock(3725.4)] == ["-:--:--", "0:00:00", "1:02:05"]
    assert [megabytes(812.4), megabytes(12_345)] == ["812 MB", "12.3 GB"]


def test_speed_is_in_pictures_where_the_model_reads_no_words():
    facts = {"tokens": 30, "seconds": 2.0, "learning_rate": 1e-3}
    for words, said in ((True, "rate 0.001  15 tokens/s"), (False, "rate 0.001  15 pictures/s")):
        meter = Meter(Show(quiet=True))
        meter._recent.append((facts["tokens"], facts["seconds"]))
        assert meter.figures(facts, words=words) == said
