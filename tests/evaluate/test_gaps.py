"""Gaps between groups: fairlearn's definitions by hand, groups of users, and who is accused by chance."""

from __future__ import annotations

import numpy as np
import pytest

from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.evaluate.stress.gaps import gaps, section
from weitiao.evaluate.stress.paired_change import Drawing
from weitiao.evaluate.stress.written_otherwise import Standing

ACCURACY = registry.build("metric", {"name": "accuracy"})
LABELS = ("no", "yes")


def stand(true, said, units=None) -> Standing:
    rows = [Record("f.csv", line, {}) for line in range(len(true))]
    truth, told = ([{"label": LABELS[one]} for one in each] for each in (true, said))
    return Standing(
        rows, truth, {"tuned": told}, list(units if units is not None else range(len(true))), LABELS
    )


def found(true, said, groups, units=None, *, resamples: int = 500, dealt: int = 499) -> dict:
    drawing = Drawing(resamples=resamples)
    return gaps(stand(true, said, units), list(groups), "shop", "accuracy", ACCURACY, drawing, dealt=dealt)


def test_gaps_are_those_of_the_closed_formulas():
    rng = np.random.default_rng(0)
    true, said = rng.integers(0, 2, 300), rng.integers(0, 2, 300)
    groups = np.array(["a", "b", "c"])[rng.integers(0, 3, 300)]
    made = found(true, said, groups)
    for one in made["measures"]:
        rates = {}
        for group in "abc":
            here = groups == group
            if one["name"] == "score":
                rates[group] = (true == said)[here].mean()
                continue
            place = LABELS.index(one["label"])
            # selection_rate and true_positive_rate of fairlearn.metrics
            mine = here & (true == place) if one["name"] == "opportunity" else here
            rates[group] = (said[mine] == place).mean()
        assert one["values"] == pytest.approx(rates)
        assert one["difference"] == pytest.approx(max(rates.values()) - min(rates.values()))
        assert rates[one["most"]] == max(rates.values())
        assert rates[one["least"]] == min(rates.values())
        assert one["low"] < one["difference"] < one["high"]
    assert [one["name"] for one in made["measures"]] == ["score", *["parity", "opportunity"] * 2]
    parity = [one["difference"] for one in made["measures"] if one["name"] == "parity"]
    assert parity[0] == pytest.approx(parity[1]), "of two labels each is what the other is not"


def test_the_p_value_of_two_groups_is_fishers_and_the_interval_walds():
    from scipy import stats

    said = np.r_[[1] * 45, [0] * 15, [1] * 30, [0] * 30]
    made = found(np.ones(120, int), said, ["a"] * 60 + ["b"] * 60, resamples=4000, dealt=4999)
    score = made["measures"][0]
    assert score["difference"] == pytest.approx(0.25)
    assert score["p_value"] == pytest.approx(stats.fisher_exact([[45, 15], [30, 30]]).pvalue, abs=0.004)
    error = np.sqrt(0.75 * 0.25 / 60 + 0.25 / 60)
    assert score["low"] == pytest.approx(0.25 - 1.96 * error, abs=0.02)
    assert score["high"] == pytest.approx(0.25 + 1.96 * error, abs=0.02)


def test_what_is_too_few_is_named_and_not_judged():
    said = np.ones(62, int)
    made = found(np.ones(62, int), said, ["a"] * 30 + ["b"] * 20 + ["c"] * 9 + [None] * 3)
    assert (made["groups"], made["too_few"], made["without"]) == ({"a": 30, "b": 20}, {"c": 9}, 3)
    no, yes = (one for one in made["measures"] if one["name"] == "opportunity")
    assert "fewer than two groups have 10 rows with no" in no["why"]
    assert (no["difference"], no["p_holm"]) == (None, None)
    assert (yes["difference"], yes["p_value"], yes["low"]) == (0.0, 1.0, None)
    shown = section(made, Drawing())
    assert "c (9)" in shown.foot.en
    alone = found(said, said, ["a"] * 53 + ["b"] * 9)
    assert "fewer than two groups" in alone["why"]
    assert "measures" not in alone


def by_chance(rng, *, users: int, gap: float = 0.0) -> tuple:
    """Rows of users, each of whom is well served or badly; the group is the user's own."""
    sizes = rng.integers(1, 9, users)
    units = np.repeat(np.arange(users), sizes)
    group_U = rng.integers(0, 2, users)
    served_U = rng.beta(4, 1, users) - gap * group_U
    true = rng.integers(0, 2, len(units))
    right = rng.random(len(units)) < served_U[units]
    return true, np.where(right, true, 1 - true), np.array(["a", "b"])[group_U[units]], units


@pytest.mark.whole
def test_groups_that_are_served_alike_are_rarely_accused_and_a_gap_is_named():
    rng = np.random.default_rng(3)
    accused = plain = 0
    for _ in range(100):
        true, said, groups, units = by_chance(rng, users=60)
        for own in (units, None):
            made = found(true, said, groups, own, resamples=2, dealt=199)["measures"]
            hit = any(one["p_holm"] is not None and one["p_holm"] < 0.05 for one in made)
            accused, plain = accused + (hit and own is not None), plain + (hit and own is None)
    assert accused <= 5 + 3, "5 of 100 by chance, and two standard errors"
    assert plain > accused, "rows of one user are no witnesses of their own"
    named = 0
    for _ in range(10):
        true, said, groups, units = by_chance(rng, users=80, gap=0.4)
        made = found(true, said, groups, units, resamples=2, dealt=499)["measures"]
        named += made[0]["p_holm"] < 0.05
    assert named >= 9


def test_rows_of_several_groups_in_a_unit_are_dealt_among_themselves():
    # In every unit a is right and b is wrong: dealt within units, as far apart only where all are dealt as they are.
    true = np.ones(24, int)
    said = np.tile([1, 0], 12)
    score = found(true, said, ["a", "b"] * 12, np.repeat(np.arange(12), 2), dealt=999)["measures"][0]
    assert score["difference"] == 1.0
    assert score["p_value"] <= 0.003
    rare = found(true[:20], said[:20], ["a", "b"] * 10, np.zeros(20, int), dealt=999)["measures"][0]
    assert rare["p_value"] < 0.01, "one unit alone: its rows are dealt"
