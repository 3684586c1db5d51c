"""Paired tests against SciPy and closed formulas; Holm's correction by hand."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy import stats

from weitiao.evaluate.metrics import JUDGES
from weitiao.evaluate.paired import PAIRED, holm


def test_every_judge_has_its_paired_test():
    assert set(PAIRED) == set(JUDGES)


def test_labels_are_paired_row_by_row():
    """Nine rows gained, two lost, five right in both: the binomial of 2 in 11."""
    truth = [{"label": "a"}] * 16
    ours = [{"label": label} for label in "a" * 9 + "b" * 2 + "a" * 5]
    others = [{"label": label} for label in "b" * 9 + "a" * 2 + "a" * 5]
    found = PAIRED["labels"](truth, ours, others)
    assert (found["gained"], found["lost"]) == (9, 2)
    assert found["difference"] == pytest.approx(7 / 16)
    assert found["p_value"] == pytest.approx(2 * sum(math.comb(11, k) for k in range(3)) / 2**11)
    assert PAIRED["labels"](truth, others, ours)["difference"] == -found["difference"]
    assert PAIRED["labels"](truth, ours, ours)["p_value"] == 1.0


def test_likelihoods_are_paired_by_the_loss_of_a_token():
    rng = random.Random(0)
    counts = [rng.randint(1, 30) for _ in range(40)]
    ours = [{"loss": n * rng.uniform(1, 2), "tokens": n} for n in counts]
    others = [{"loss": n * rng.uniform(1.2, 2.2), "tokens": n} for n in counts]
    found = PAIRED["likelihood"]([{}] * 40, ours, others)
    means = [np.array([row["loss"] / row["tokens"] for row in rows]) for rows in (ours, others)]
    assert found["p_value"] == pytest.approx(stats.wilcoxon(*means).pvalue)
    whole = [math.exp(sum(row["loss"] for row in rows) / sum(counts)) for rows in (ours, others)]
    assert found["difference"] == pytest.approx(whole[0] - whole[1])
    assert PAIRED["likelihood"]([{}] * 40, ours, ours)["p_value"] == 1.0


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
