"""Runs, plans, checks and comparisons are short at a prompt and a table in a notebook."""

from __future__ import annotations

import pytest
from rich.console import Console

import weitiao as wt
from tests.conftest import reviews, write_csv
from weitiao.core.display import Sheet, Shown


class Odd(Shown):
    def sheet(self) -> Sheet:
        return Sheet("a <b>", ["", "x"], [["[bold]", "<i>"]], "so & so")


def test_a_sheet_is_escaped_and_drawn():
    html = Odd()._repr_html_()
    assert repr(Odd()) == "<a <b>>"
    assert "a &lt;b&gt;" in html
    assert "<td>[bold]</td><td>&lt;i&gt;</td>" in html
    assert "so &amp; so" in html
    console = Console(width=60)
    with console.capture() as seen:
        console.print(Odd())
    assert "[bold]" in seen.get()
    assert "so & so" in seen.get()


def test_a_run_is_a_line_and_a_table_of_its_scores(classify):
    run = wt.train(classify(max_steps=1))
    accuracy = run.results["metrics"]["tuned"]["accuracy"]["value"]
    assert repr(run) == f"<Run {run.path}: judged, accuracy {accuracy:.3f}>"
    html = run._repr_html_()
    assert all(f"<td>{system}</td>" in html for system in run.results["metrics"])
    (run.path / "results.json").unlink()
    assert "accuracy" not in repr(run)


@pytest.mark.parametrize(("lang", "word"), [("en", "Check of"), ("zh", "检查")])
def test_a_check_says_what_the_rows_came_to(lang, word, tmp_path, monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", lang)
    found = wt.check(write_csv(tmp_path / "rows.csv", [*reviews(20), {"text": " ", "label": "good"}]))
    assert word in repr(found)
    assert "20 kept" in repr(found)
    assert "1 quarantined" in repr(found)
    assert len(repr(found)) < 300


@pytest.mark.whole
def test_a_plan_says_whether_it_fits(classify):
    plan = wt.plan(classify(max_steps=1))
    assert repr(plan).startswith("<Plan: memory ")
    assert repr(plan).endswith("; it fits>" if plan.fits else "; it does not fit>")
    assert all(f"<td>{stage}</td>" in plan._repr_html_() for stage in plan.stages)


def test_a_comparison_not_begun_is_a_line(tmp_path):
    assert repr(wt.Comparison(tmp_path)).startswith("<Comparison ")
