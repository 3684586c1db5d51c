"""Paired tests against SciPy and closed formulas; Holm's correction by hand."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from scipy import stats

from tests.evaluate.judging import judged, paired
from weitiao.evaluate.paired import holm


def test_labels_are_paired_row_by_row():
    """Nine rows gained, two lost, five right in both: the binomial of 2 in 11."""
    truth = [{"label": "a"}] * 16
    ours = [{"label": label} for label in "a" * 9 + "b" * 2 + "a" * 5]
    others = [{"label": label} for label in "b" * 9 + "a" * 2 + "a" * 5]
    found = paired("accuracy", truth, ours, others)
    assert (found["gained"], found["lost"]) == (9, 2)
    assert found["difference"] == pytest.approx(7 / 16)
    assert found["p_value"] == pytest.approx(2 * sum(math.comb(11, k) for k in range(3)) / 2**11)
    assert paired("accuracy", truth, others, ours)["difference"] == -found["difference"]
    assert paired("accuracy", truth, ours, ours)["p_value"] == 1.0


def losses(sums, counts):
    return [{"loss": float(loss), "tokens": int(n)} for loss, n in zip(sums, counts, strict=True)]


def test_likelihoods_are_paired_by_the_sum_that_makes_the_perplexity():
    """Few rows: all signs, in Python's own loops.  More: SciPy's permutation test."""
    rng = np.random.default_rng(0)
    for rows in (9, 40):
        counts = rng.integers(1, 30, rows)
        ours, others = (counts * rng.uniform(low, low + 1, rows) for low in (1.0, 1.2))
        found = paired("perplexity", [{}] * rows, losses(ours, counts), losses(others, counts), seed=1)
        whole = [math.exp(sums.sum() / counts.sum()) for sums in (ours, others)]
        assert found["difference"] == pytest.approx(whole[0] - whole[1])
        if rows == 9:
            gains = ours - others
            ways = [abs(np.dot(signs, gains)) for signs in itertools.product((-1, 1), repeat=rows)]
            expected = sum(way >= abs(gains.sum()) - 1e-9 for way in ways) / len(ways)
            assert found["p_value"] == pytest.approx(expected, abs=1e-12)
        else:
            options = {"permutation_type": "samples", "n_resamples": 9999, "rng": np.random.default_rng(7)}
            expected = stats.permutation_test((ours, others), lambda a, b: a.sum() - b.sum(), **options)
            assert found["p_value"] == pytest.approx(expected.pvalue, abs=0.01)
        assert paired("perplexity", [{}] * rows, losses(ours, counts), losses(ours, counts))["p_value"] == 1.0


def test_what_is_shown_is_what_is_tested():
    """Most rows gain a little and a few long ones lose much: the perplexity is worse, and no test may call it better.

    (Wilcoxon's test on the rows' means says p = 1e-16 for a gain here.)
    """
    rng = np.random.default_rng(2)
    counts = np.where(np.arange(300) % 10, 10, 400)
    others = counts * rng.uniform(1.9, 2.1, 300)
    ours = others - np.where(np.arange(300) % 10, 0.5, -120.0) * rng.uniform(0.8, 1.2, 300)
    found = paired("perplexity", [{}] * 300, losses(ours, counts), losses(others, counts))
    assert stats.wilcoxon((ours - others) / counts, alternative="less").pvalue < 1e-10
    assert found["difference"] > 0  # perplexity is higher
    assert found["p_value"] < 0.001


@pytest.mark.whole
@pytest.mark.parametrize("metric", ["accuracy", "perplexity"])
def test_alike_systems_are_told_apart_no_more_often_than_said_even_in_groups(metric):
    """Rows of a user go up and down together, and long rows weigh more; both systems are as good."""
    rng, found = np.random.default_rng(3), {"with": 0, "without": 0}
    users = np.repeat(np.arange(30), 8)
    for trial in range(200):
        lean = rng.normal(0, 1, 30)[users]
        if metric == "perplexity":
            counts = rng.integers(1, 200, len(users))
            sides = [losses(counts * (3 + sign * 0.5 * lean), counts) for sign in (1, 0)]
            truth = [{}] * len(users)
        else:
            truth = [{"label": "a"}] * len(users)
            right = [(lean + rng.normal(0, 0.3, len(users))) * sign > 0 for sign in (1, -1)]
            sides = [[{"label": "a" if hit else "b"} for hit in hits] for hits in right]
        for name, groups in (("with", users.tolist()), ("without", None)):
            found[name] += paired(metric, truth, *sides, groups=groups, seed=trial)["p_value"] < 0.05
    assert found["with"] <= 18  # 10 expected; above 18 has a chance under 1 %
    assert found["without"] > 40  # so much would be found if rows were taken for witnesses of their own


def test_a_loss_that_is_no_number_proves_nothing():
    rows = losses([1.0] * 50, [1] * 50)
    for bad in (math.nan, math.inf):
        found = paired("perplexity", [{}] * 50, losses([bad] + [9.0] * 49, [1] * 50), rows)
        assert found == {"difference": None, "p_value": None, "test": None}


def test_rows_in_groups_widen_the_interval_and_rows_alone_leave_it():
    """Every row twice is no more evidence: the interval is that of the rows once, within chance."""
    rng = random.Random(4)
    once = [("a", rng.choice("aaab")) for _ in range(80)]

    def width(rows, groups):
        truth, guesses = ([{"label": pair[side]} for pair in rows] for side in (0, 1))
        found = judged(("accuracy", "f1"), truth, {"tuned": guesses}, groups=groups)["metrics"]["tuned"]
        return [found[name]["high"] - found[name]["low"] for name in ("accuracy", "f1")]

    alone, twice = width(once, None), [row for row in once for _ in (0, 1)]
    assert width(once, list(range(80))) == alone
    grouped = width(twice, [row for row in range(80) for _ in (0, 1)])
    assert grouped == pytest.approx(alone, rel=0.1)
    assert width(twice, None)[0] < 0.8 * grouped[0]


def test_groups_that_are_all_right_leave_room_for_doubt():
    truth = [{"label": "a"}, {"label": "b"}] * 20
    groups = [row // 10 for row in range(40)]
    found = judged(("accuracy",), truth, {"tuned": truth}, groups=groups)["metrics"]["tuned"]["accuracy"]
    assert found["low"] == pytest.approx(4 / (4 + 1.959964**2))  # Wilson's of 4 in 4


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        # 4 x 0.005; 3 x 0.01 (the smallest first, whatever its place); 2 x 0.03; 0.04 would fall below 0.06
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.02], [0.02]),
        ([0.6, 0.5], [1.0, 1.0]),
        ([0.01, 0.01], [0.02, 0.02]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values, corrected):
    assert holm(p_values) == pytest.approx(corrected)


def test_holm_never_finds_more_than_the_bare_p_values_and_no_less_than_bonferroni():
    rng = random.Random(1)
    for _ in range(50):
        p_values = [rng.random() ** 3 for _ in range(rng.randint(1, 9))]
        for bare, corrected in zip(p_values, holm(p_values), strict=True):
            assert bare <= corrected <= min(1.0, bare * len(p_values)) + 1e-12
