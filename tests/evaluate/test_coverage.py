"""Intervals hold the truth about as often as they say, and with rows in groups only if the judge is told of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from benchmarks.coverage import RARE, covered
from tests.evaluate.judging import judged, shelf
from weitiao.core.contracts import Metric
from weitiao.evaluate import resample

SETS = 120
METRICS = shelf("accuracy", "f1", "perplexity")
MACRO = shelf("f1", "recall", "precision", "balanced_accuracy")


@pytest.mark.whole
@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_cover_as_often_as_they_say(grouped):
    found = covered(SETS, grouped=grouped, metrics=METRICS, units=60, resamples=300, rows=60_000)
    for name, share in found.items():
        # `python -m benchmarks.coverage` says 0.93 to 0.96 of a thousand sets; so few have a chance of one in a thousand.
        assert share * SETS >= stats.binom.ppf(0.001, SETS, 0.94), name


@pytest.mark.whole
@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_cover_where_classes_are_rare(grouped):
    options = {"units": 100, "resamples": 300, "rows": 60_000, "shares": RARE}
    found = covered(SETS, grouped=grouped, metrics=MACRO, **options)
    for name, share in found.items():
        assert share * SETS >= stats.binom.ppf(0.001, SETS, 0.94), name


def collapsed(rare, said):
    """The interval of 100 rows of which `rare` are of class b, all said to be `said`."""
    true = [{"label": label} for label in "a" * (100 - rare) + "b" * rare]
    told = [{"label": said or row["label"]} for row in true]
    found = judged(("balanced_accuracy", "recall", "f1"), true, {"tuned": told}, seed=1)["metrics"]["tuned"]
    assert found["recall"]["value"] == found["balanced_accuracy"]["value"]
    return found


@pytest.mark.parametrize("rare", [1, 2, 3, 10])
def test_a_class_that_draws_lack_makes_no_collapsed_classifier_perfect(rare):
    # What none of `rare` rows tells of its class at most (Clopper & Pearson 1934), and the other class at 1.
    most = (1 + stats.binomtest(0, rare).proportion_ci().high) / 2
    for name, one in collapsed(rare, "a").items():
        assert one["low"] <= one["value"] < one["high"] <= most, name


@pytest.mark.parametrize("rare", [1, 3, 10])
def test_few_rows_that_are_all_right_do_not_prove_that_all_are(rare):
    least = (stats.binomtest(rare, rare).proportion_ci().low + 0.95) / 2
    for name, one in collapsed(rare, "").items():
        assert least <= one["low"] < one["value"] == one["high"] == 1, name


def test_an_interval_holds_its_value_where_every_class_is_rare():
    rng = np.random.default_rng(0)
    labels = [f"class-{number}" for number in range(200)]
    true = rng.integers(0, 200, 200)
    said = np.where(rng.random(200) < 0.7, true, rng.integers(0, 200, 200))
    rows, told = ([{"label": labels[one]} for one in each] for each in (true, said))
    names = ("f1", "recall", "precision", "balanced_accuracy")
    found = judged(names, rows, {"tuned": told}, labels=labels, resamples=300)["metrics"]["tuned"]
    for name, one in found.items():
        assert one["low"] < one["value"] < one["high"], name


def test_a_class_without_rows_in_a_draw_keeps_its_score():
    rng = np.random.default_rng(0)
    true = [{"label": label} for label in "aaabbbc"]
    told = [{"scores": dict(zip("abc", rng.dirichlet([1, 1, 1]), strict=True))} for _ in true]
    weights = np.array([[1.0, 2, 0, 1, 0, 3, 0]])  # no row of c
    for name, area in {"roc_auc": sk.roc_auc_score, "pr_auc": sk.average_precision_score}.items():
        metric = shelf(name)[name]
        rows = metric.rows(true, told, "abc")

        def alone(label, often, area=area):
            there = [row["label"] == label for row in true]
            return area(there, [row["scores"][label] for row in told], sample_weight=often)

        kept = [alone("a", weights[0]), alone("b", weights[0])]
        assert metric.over(rows, weights)[0] == pytest.approx(np.mean(kept))
        assert metric.redrawn(rows, weights)[0] == pytest.approx(np.mean([*kept, alone("c", np.ones(7))]))


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
