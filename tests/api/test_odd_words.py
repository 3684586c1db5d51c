"""Words of Python that are given what they do not take say so."""

from __future__ import annotations

import shutil

import pytest

import weitiao as wt
from tests.conftest import reviews
from weitiao.core.errors import WeitiaoError

pandas = pytest.importorskip("pandas")


def refused(code: str, *words: str):
    return pytest.raises(WeitiaoError, match=rf"(?s)^\[{code}\].*" + ".*".join(words))


def test_half_a_character_in_rows_in_memory_costs_its_row(classify):
    for odd in ({"text": "dull \ud83d", "label": "bad"}, {"text": "dull", "label": "\ud83d"}):
        recipe = classify(max_steps=1)
        with refused("lost_rows", "1 of 61", "half a character"):
            wt.train(**{**recipe, "data": [*reviews(60), odd]})


def test_an_output_dir_that_is_none_is_refused(classify):
    for odd in (None, ["runs"]):
        with refused("wrong_value", "output_dir"):
            wt.train(**{**classify(), "output_dir": odd, "data": reviews(60)})


def test_check_takes_files(tmp_path):
    with refused("wrong_usage", "Series"):
        wt.check(pandas.DataFrame(reviews(10)).text)
    with refused("wrong_usage", "NoneType"):
        wt.check(None)
    with refused("wrong_usage", "weitiao check RECIPE"):
        wt.check("r.yaml")


@pytest.mark.whole
def test_a_folder_in_the_way_of_a_page_costs_the_page_alone(classify):
    run = wt.train(classify(max_steps=1, evaluate={"untuned": False, "baseline": "none"}))
    run.report.unlink()
    run.report.mkdir()
    assert [one["what"] for one in wt.evaluate(run).results["missing"]] == ["page"]
    results = run.path / "results.json"
    results.unlink()
    results.mkdir()
    with refused("wrong_usage", "results.json is a folder"):
        wt.evaluate(run)
    shutil.rmtree(run.path)
