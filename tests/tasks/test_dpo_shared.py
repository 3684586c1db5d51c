"""What both answers of a pair are read behind is computed once: runs are those in which it is computed twice."""

from __future__ import annotations

import pytest

import weitiao as wt
from weitiao.core.files import read_lines
from weitiao.models.load import Loaded


def told(run, event="step"):
    return [line for line in read_lines(run.path / "log.jsonl") if line["event"] == event]


@pytest.mark.whole
def test_a_run_is_the_one_whose_rows_lie_whole(prefer, tmp_path, monkeypatch, capsys):
    words = {
        "max_steps": 3,
        "gradient_accumulation_steps": 2,
        "activation_checkpointing": True,
        "learning_rate": 5e-3,
    }
    once = wt.train(prefer(output_dir=str(tmp_path / "once"), **words))
    assert "computed anew" not in capsys.readouterr().err
    monkeypatch.setattr(Loaded, "sharing", lambda self, task: False)
    twice = wt.train(prefer(output_dir=str(tmp_path / "twice"), **words))
    for one, other in zip(told(once), told(twice), strict=True):
        assert one["shared"] > 0.1
        assert "shared" not in other
        assert one["tokens"] == other["tokens"], "those of the rows, however often they are computed"
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-4)
    said = [run.results["metrics"]["tuned"] for run in (once, twice)]
    for name, value in said[0].items():
        assert value["value"] == pytest.approx(said[1][name]["value"], abs=1e-5)


@pytest.mark.whole
def test_noise_is_drawn_for_whole_rows(prefer):
    run = wt.train(prefer(max_steps=1, neftune_noise_alpha=5.0))
    assert "shared" not in told(run)[0]


@pytest.mark.whole
def test_vectors_before_every_row_leave_rows_whole_and_it_is_said(prefer, capsys):
    run = wt.train(prefer(max_steps=1, method="prompt"))
    assert "shared" not in told(run)[0]
    assert "is computed anew in each of them" in capsys.readouterr().err
