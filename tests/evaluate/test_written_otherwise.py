"""How rows are written otherwise, and the paired numbers of what that does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.data.augment import Helpers
from weitiao.data.shapes import CONVERSATION, LABELLED, PICTURED, PLAIN, TAGGED
from weitiao.evaluate.stress.paired_change import Drawing, gain, outcome, shares
from weitiao.evaluate.stress.perturb import (
    PERTURBATIONS,
    no_punctuation,
    other_punctuation,
    other_width,
    perturbations,
    perturbed,
    spared,
)


@pytest.mark.parametrize(
    ("write", "text", "meant"),
    [
        (no_punctuation, "Well-known, isn't it?", "Well known isnt it"),
        (no_punctuation, "很好，我喜欢。", "很好我喜欢"),
        (no_punctuation, "A B", "A B"),
        (other_punctuation, "Good, 3.5 of 4!", "Good， 3.5 of 4！"),
        (other_punctuation, "很好，我喜欢。", "很好,我喜欢."),
        (other_width, "iPhone15 很好", "ｉＰｈｏｎｅ１５ 很好"),
        (other_width, "ｉＰ 很好", "iP 很好"),
        (other_width, "iPhone15", "iPhone15"),
    ],
)
def test_texts_are_written_otherwise(write, text, meant):
    assert write(text) == meant


def changed(name: str, shape, *values) -> list:
    one = next(each for each in PERTURBATIONS if each.name == name)
    rows = [Record("f.csv", line, value) for line, value in enumerate(values, start=1)]
    made = perturbed(one.ready(shape, Helpers()), rows, shape, seed=0, name=name)
    return [row and row.values for row in made]


def test_what_nothing_is_left_of_or_nothing_changes_in_counts_as_unchanged():
    rows = [{"text": text, "label": "a"} for text in ("!!!", "no marks", "one, two")]
    assert changed("no_punctuation", LABELLED, *rows) == [None, None, {"text": "one two", "label": "a"}]


def test_tags_and_answers_stay():
    (row,) = changed("upper_case", TAGGED, {"tokens": ["in", "Rome"], "tags": ["O", "B-LOC"]})
    assert row == {"tokens": ["IN", "Rome"], "tags": ["O", "B-LOC"]}
    turns = [{"role": "user", "content": "why?"}, {"role": "assistant", "content": "so."}]
    (row,) = changed("upper_case", CONVERSATION, {"messages": turns})
    assert [turn["content"] for turn in row["messages"]] == ["WHY?", "so."]


def test_rows_that_are_their_own_answer_are_spared():
    assert "one text" in spared(PLAIN, [Record("f", 1, {"text": "once"})])
    assert "no texts" in spared(PICTURED, [Record("f", 1, {"image": "a.png", "label": "b"})])
    assert spared(LABELLED, [Record("f", 1, {"text": "once", "label": "a"})]) == ""


def test_the_rate_is_that_of_the_changed_letters():
    text = {"text": "abcdefghij" * 20, "label": "a"}
    for rate in (0.05, 0.5):
        one = next(each for each in perturbations(rate) if each.name == "keyboard")
        (row,) = perturbed(one.ready(LABELLED, Helpers()), [Record("f", 1, text)], LABELLED, seed=0, name="k")
        typed = sum(a != b for a, b in zip(row.values["text"], text["text"], strict=True))
        assert typed == 200 * rate
    assert {one.rate for one in perturbations(None)} == {0.05, 0.1, None}


def test_a_gain_is_the_difference_with_mcnemars_test_and_an_interval_that_holds_it():
    rng = np.random.default_rng(0)
    before = (rng.random(300) < 0.9).astype(float)
    after = before * (rng.random(300) < 0.85)
    rows = [np.stack([each, np.ones(300)], axis=1) for each in (before, after)]
    metric = registry.build("metric", {"name": "accuracy"})
    found = gain(metric, *rows, None, Drawing(resamples=4000))
    lost = int((before > after).sum())
    assert found["difference"] == pytest.approx((after - before).mean())
    assert found["p_value"] == pytest.approx(stats.binomtest(0, lost).pvalue)
    error = (after - before).std(ddof=1) / np.sqrt(300)
    assert found["low"] == pytest.approx(found["difference"] - 1.96 * error, abs=0.006)
    assert found["high"] == pytest.approx(found["difference"] + 1.96 * error, abs=0.006)
    # Ten rows of one user are no ten witnesses.
    grouped = gain(metric, *rows, np.arange(300) // 100, Drawing(resamples=500))
    assert grouped["p_value"] == pytest.approx(0.25)
    same = gain(metric, rows[0], rows[0], None, Drawing(resamples=50))
    assert (same["difference"], same["p_value"], same["low"]) == (0.0, 1.0, None)


def test_shares_have_wilsons_interval():
    found = shares({"a": [True] * 12 + [False] * 38}, None, Drawing())["a"]
    low, high = stats.binomtest(12, 50).proportion_ci(method="wilson")
    assert (found["value"], found["low"], found["high"]) == pytest.approx((0.24, low, high))


def test_predictions_of_any_kind_can_be_told_apart():
    assert outcome({"label": "a"}) == "a"
    assert outcome({"labels": ["b", "a"]}) == ("a", "b")
    assert outcome({"tags": ["O", "B-X"], "spans": []}) == ("O", "B-X")
    assert outcome({"number": 3.0}) is outcome({"loss": 1.0, "tokens": 3}) is None
