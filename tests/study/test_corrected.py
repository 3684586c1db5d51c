"""The corrected resampled t-test: the closed formula, what it is without the correction, and what it is for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from weitiao.study.corrected import over_folds, paired_over_folds

FOLDS = [0.91, 0.88, 0.93, 0.86, 0.90]
OTHERS = [0.85, 0.86, 0.88, 0.87, 0.84]


def by_hand(values: list[float], ratio: float) -> tuple[float, float, float]:
    """Mean, standard error and t as in Nadeau & Bengio 2003, written out."""
    k = len(values)
    mean = sum(values) / k
    variance = sum((value - mean) ** 2 for value in values) / (k - 1)
    error = math.sqrt((1 / k + ratio) * variance)
    return mean, error, mean / error


@pytest.mark.parametrize("ratio", [0.0, 0.25, 0.31])
@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_the_interval_is_the_closed_formula(ratio, confidence):
    found = over_folds(FOLDS, ratio=ratio, confidence=confidence)
    mean, error, _ = by_hand(FOLDS, ratio)
    low, high = stats.t(4, loc=mean, scale=error).interval(confidence)
    assert found == {
        "mean": pytest.approx(mean),
        "sd": pytest.approx(np.std(FOLDS, ddof=1)),
        "low": pytest.approx(low),
        "high": pytest.approx(high),
        "folds": 5,
    }


def test_no_interval_goes_where_no_value_can_be():
    folds, others = [1.0, 0.9, 1.0, 1.0, 0.98], [0.0, 0.3, 0.0, 0.0, 0.02]
    asked = {"ratio": 0.25, "confidence": 0.95}
    for values, low, high in ((folds, None, 1.0), (others, 0.0, None)):
        free, cut = over_folds(values, **asked), over_folds(values, **asked, bounds=(0.0, 1.0))
        assert not 0 <= free["low"] <= free["high"] <= 1
        assert cut == {**free, "low": low if low is not None else free["low"], "high": high or free["high"]}
    free, cut = (paired_over_folds(folds, others, **asked, **more) for more in ({}, {"bounds": (0.0, 1.0)}))
    assert free["high"] > 1
    assert cut == {**free, "high": 1.0}


def test_the_p_value_is_the_closed_formula_and_a_paired_t_test_without_correction():
    pairs = [one - other for one, other in zip(FOLDS, OTHERS, strict=True)]
    for ratio in (0.0, 0.25):
        found = paired_over_folds(FOLDS, OTHERS, ratio=ratio, confidence=0.95)
        mean, _, t = by_hand(pairs, ratio)
        assert found["difference"] == pytest.approx(mean)
        assert found["p_value"] == pytest.approx(2 * stats.t.sf(abs(t), 4))
        # The interval of the difference leaves 0 out just where the test says so.
        assert (found["low"] > 0) == (found["p_value"] < 0.05)
    plain = paired_over_folds(FOLDS, OTHERS, ratio=0.0, confidence=0.95)
    assert plain["p_value"] == pytest.approx(stats.ttest_rel(FOLDS, OTHERS).pvalue)
    back = paired_over_folds(OTHERS, FOLDS, ratio=0.0, confidence=0.95)
    assert (back["difference"], back["p_value"]) == (
        pytest.approx(-plain["difference"]),
        pytest.approx(plain["p_value"]),
    )


def test_what_cannot_be_said_has_its_reason_and_no_nan():
    assert over_folds([None, None], ratio=0.3, confidence=0.95)["why"] == "not defined in any fold"
    assert over_folds([0.5, None], ratio=0.3, confidence=0.95) == {
        "mean": 0.5,
        "sd": None,
        "low": None,
        "high": None,
        "folds": 1,
        "why": "a single fold has no spread",
    }
    alike = over_folds([0.1 + 0.2, 0.3, 0.3], ratio=0.3, confidence=0.95)
    assert (alike["sd"], alike["low"], alike["why"]) == (0.0, None, "all folds give one value: no interval")
    same = paired_over_folds([0.5, 0.6], [0.5, 0.6], ratio=0.3, confidence=0.95)
    assert (same["difference"], same["p_value"]) == (0.0, 1.0)
    shifted = paired_over_folds([0.5, 0.6], [0.4, 0.5], ratio=0.3, confidence=0.95)
    assert (shifted["difference"], shifted["p_value"]) == (pytest.approx(0.1), None)
    some = paired_over_folds([0.9, None, 0.8], [0.5, 0.5, 0.5], ratio=0.3, confidence=0.95)
    assert (some["folds"], some["difference"]) == (2, pytest.approx(0.35))
