"""A run that was judged in one language has its page in the other: verdict and findings say what judging in it says."""

from __future__ import annotations

import html
import re

import pytest

import weitiao as wt
from tests.conftest import reviews, small_run, write_csv


def said(run):
    page = run.report.read_text(encoding="utf-8")
    lines = [*re.findall(r"<h1>(.*?)</h1>", page), *re.findall(r'<p class="remark"[^>]*>(.*?)</p>', page)]
    return [html.unescape(line) for line in lines]


@pytest.mark.whole
def test_verdict_and_findings_are_in_the_reader_s_language(bert, tmp_path, monkeypatch):
    rows = write_csv(tmp_path / "rows.csv", reviews(60))
    recipe = small_run(bert, "text_classification", rows, tmp_path / "run", batch=8, judge={})
    quick = {"max_steps": 2, "eval_strategy": "no", "load_best_model_at_end": False}
    run = wt.train(recipe(**quick))
    english = said(run)
    assert run.results["findings"], "a sound run says nothing"
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    wt.report(run)
    chinese = said(run)
    assert len(chinese) == len(english)
    assert not {*chinese} & {*english}
    wt.evaluate(run)  # the sentences that judging in Chinese writes
    assert said(run) == chinese == [run.results["verdict"]["sentence"], *run.remarks]
    card = (run.path / "model" / "README.md").read_text(encoding="utf-8")
    assert chinese[0] in card
    monkeypatch.setenv("WEITIAO_LANG", "en")
    wt.report(run)
    assert said(run) == english
