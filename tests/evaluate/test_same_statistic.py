"""What is tested is what is shown: every metric's paired test against all ways of swapping, and against alike systems."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from tests.evaluate.judging import paired
from weitiao.evaluate import paired as testing

pytestmark = pytest.mark.whole  # thousands of swaps

LABELS = ("a", "b", "c")


def rows(rng, true, *, skill):
    """Predictions over three labels, with scores."""
    raw = rng.normal(0, 1, (len(true), 3))
    raw[np.arange(len(true)), true] += skill
    scores = np.exp(raw) / np.exp(raw).sum(1, keepdims=True)
    return [
        {
            "label": LABELS[row.argmax()],
            "scores": dict(zip(LABELS, row.tolist(), strict=True)),
            "number": float(row[0]),
        }
        for row in scores
    ]


def macro_f1(true, told):
    return reference.f1_score(true, [row["label"] for row in told], average="macro", zero_division=0)


def r2(true, told):
    return reference.r2_score(true, [row["number"] for row in told])


def area(true, told):
    """Of the first label; scores are ranks by now."""
    return reference.roc_auc_score([one == "a" for one in true], [row["rank"] for row in told])


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("name", ["f1", "r2", "roc_auc"])
def test_the_p_value_is_the_share_of_all_ways_of_swapping_units(name, grouped):
    rng = np.random.default_rng(len(name))
    count = 14 if grouped else 8
    true = np.arange(count) % (2 if name == "roc_auc" else 3)
    ours, others = rows(rng, true, skill=1.5), rows(rng, true, skill=0.3)
    numbers = rng.normal(size=count)
    references = [{"label": LABELS[t], "number": float(n)} for t, n in zip(true, numbers, strict=True)]
    groups = np.repeat(np.arange(7), 2) if grouped else np.arange(count)
    labels = LABELS
    if name == "roc_auc":
        labels = ("b", "a")  # the second is the positive one
        for side in (ours, others):
            for row, rank in zip(side, stats.rankdata([row["scores"]["a"] for row in side]), strict=True):
                row["rank"] = rank
    score = {"f1": macro_f1, "r2": r2, "roc_auc": area}[name]
    wanted = [row["number"] if name == "r2" else row["label"] for row in references]
    shown = score(wanted, ours) - score(wanted, others)
    far = []
    for ways in itertools.product((False, True), repeat=groups.max() + 1):
        swap = [ways[group] for group in groups]
        one = [b if s else a for a, b, s in zip(ours, others, swap, strict=True)]
        two = [a if s else b for a, b, s in zip(ours, others, swap, strict=True)]
        far.append(abs(score(wanted, one) - score(wanted, two)) >= abs(shown) - 1e-9)
    found = paired(name, references, ours, others, labels=labels, groups=groups.tolist() if grouped else None)
    assert found["difference"] == pytest.approx(shown)
    assert found["p_value"] == pytest.approx(np.mean(far), abs=1e-12)


@pytest.mark.parametrize("name", ["f1", "mcc", "rmse", "roc_auc", "spearman"])
def test_alike_systems_are_told_apart_no_more_often_than_said(name, monkeypatch):
    """A hundred pairs of systems of one skill; rows of a group are as easy as each other."""
    monkeypatch.setattr(testing, "FLIPS", 199)  # as honest, and quicker
    said = 0
    for trial in range(100):
        rng = np.random.default_rng(trial)
        true, groups = rng.integers(0, 3, 60), np.repeat(np.arange(20), 3)
        ease = np.repeat(rng.normal(0.8, 1, 20), 3)
        references = [
            {"label": LABELS[t], "number": float(n)} for t, n in zip(true, rng.normal(size=60), strict=True)
        ]
        sides = [rows(rng, true, skill=ease) for _ in (0, 1)]
        if name == "roc_auc":  # scores of another scale order the rows as before
            for row in sides[1]:
                row["scores"] = {label: 1e-3 * score**3 for label, score in row["scores"].items()}
        found = paired(name, references, *sides, labels=LABELS, groups=groups.tolist(), seed=trial)
        said += found["p_value"] < 0.05
    assert said <= 13  # 5 expected; above 13 has a chance of one in two thousand


def test_the_order_alone_decides_of_areas():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 40)
    references = [{"label": LABELS[t]} for t in true]
    ours = rows(rng, true, skill=1.0)
    cubed = [{**row, "scores": {label: s**3 for label, s in row["scores"].items()}} for row in ours]
    found = paired("roc_auc", references, ours, cubed, labels=LABELS)
    assert (found["difference"], found["p_value"]) == (pytest.approx(0, abs=1e-12), 1.0)
