"""Intervals hold the truth about as often as they say, and with rows in groups only if the judge is told of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.coverage import covered
from tests.evaluate.judging import judged, shelf
from weitiao.core.contracts import Metric
from weitiao.evaluate import resample

SETS = 120
METRICS = shelf("accuracy", "f1", "perplexity")


@pytest.mark.whole
@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_cover_as_often_as_they_say(grouped):
    found = covered(SETS, grouped=grouped, metrics=METRICS, units=60, resamples=300, rows=60_000)
    for name, share in found.items():
        # `python -m benchmarks.coverage` says 0.93 to 0.96 of a thousand sets; so few have a chance of one in a thousand.
        assert share * SETS >= stats.binom.ppf(0.001, SETS, 0.94), name


@pytest.mark.whole
def test_rows_of_a_group_are_no_witnesses_of_their_own():
    options = {"grouped": True, "units": 60, "resamples": 300, "rows": 60_000}
    deaf = covered(SETS, metrics=METRICS, told=False, **options)
    assert max(deaf.values()) < 0.87


class Mean(Metric):
    """The mean, as a metric that is no sum says it."""

    def rows(self, references, predictions, labels):
        return np.array([[row["number"]] for row in predictions])

    def over(self, rows_NK, weights_RN):
        return np.array([np.average(rows_NK[:, 0], weights=weights) for weights in weights_RN])


def freedom(errors, unit_N, metric=None, most=1000):
    rows = np.stack([errors, np.ones_like(errors)], axis=1) if metric is None else errors[:, None]
    metric = metric or shelf("mae")["mae"]
    return resample.freedom(metric, rows, np.asarray(unit_N), len(set(unit_N)), most=most)


def test_the_spread_of_units_is_known_as_their_kurtosis_says():
    errors = np.abs(np.random.default_rng(0).standard_t(4, 80))
    kurtosis = stats.kurtosis(errors, fisher=False)
    wanted = 160 / (kurtosis - 77 / 79)
    assert wanted < 60
    assert freedom(errors, range(80)) == pytest.approx(wanted)
    # The same mean as a metric that is no sum, asked 80 times; and not asked where that is more than its draws.
    assert freedom(errors, range(80), Mean()) == pytest.approx(wanted)
    assert freedom(errors, range(80), Mean(), most=79) == 79


def test_a_group_that_decides_alone_leaves_little_freedom_and_alike_ones_leave_all_of_it():
    alike = np.tile([0.0, 1.0], 100)
    assert freedom(alike, range(200)) == 199
    assert freedom(np.ones(200), range(200)) == 199  # nothing moves
    one_large, count = resample.units([0] * 110 + [1 + row // 10 for row in range(90)], 200)
    assert count == 10
    assert freedom(np.where(one_large == 0, 2.0, alike), one_large) < 4


def test_intervals_are_as_wide_as_the_freedom_of_their_units_asks():
    errors = np.abs(np.random.default_rng(1).standard_t(3, 60))
    references = [{"number": 0.0} for _ in errors]
    predictions = [{"number": float(error)} for error in errors]
    found = judged(("mae",), references, {"tuned": predictions}, resamples=400, seed=3)["metrics"]["tuned"][
        "mae"
    ]
    weights = np.concatenate(list(resample.draws(60, 400, seed=3)))
    drawn = np.sort(weights @ errors / 60)
    points = stats.t(freedom(errors, range(60))).isf(0.025) * np.sqrt(60 / 59)
    place = 401 * stats.norm.sf(points) - 1  # the k-th of R draws has k / (R + 1) below it
    low = np.interp(place, np.arange(400), drawn)
    high = np.interp(399 - place, np.arange(400), drawn)
    assert (found["low"], found["high"]) == pytest.approx((low, high))
