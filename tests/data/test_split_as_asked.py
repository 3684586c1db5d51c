"""Times, folds and given sides are kept to; too few rows for what is asked are refused with what would do."""

from __future__ import annotations

import random

import pytest

from tests.data.test_split import dealt, many, marked, prints
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Data, Split
from weitiao.data.check import DEALT, SIDES


def refused(code: str, *words: str):
    return pytest.raises(WeitiaoError, match=rf"(?s)^\[{code}\].*" + ".*".join(words))


# --- time


def test_what_is_trained_on_came_before_what_judges():
    rng = random.Random(4)
    for seed in range(10):
        times = [float(rng.randint(0, 200)) for _ in range(150)]
        sides = dealt(marked(prints(150, seed=seed), time=times), time="day", seed=seed)
        latest, earliest = (
            {n: pick(times[i] for i in rows) for n, rows in sides.items()} for pick in (max, min)
        )
        assert latest["train"] <= earliest["validation"]
        assert latest["validation"] <= earliest["test"]
        assert [len(sides[name]) for name in ("test", "validation")] == [22, 22]


def test_a_group_goes_by_its_latest_row():
    """So no training row is later than the latest row of any group that judges."""
    rng = random.Random(4)
    for seed in range(10):
        times = [float(rng.randint(0, 500)) for _ in range(150)]
        by = [rng.randint(1, 40) for _ in times]
        sides = dealt(marked(prints(150, seed=seed), time=times, by=by), time="day", group_by="user")
        last = {user: max(t for t, u in zip(times, by, strict=True) if u == user) for user in by}
        judged = [last[by[i]] for name in ("validation", "test") for i in sides[name]]
        assert max(times[i] for i in sides["train"]) <= min(judged)


# --- folds


def test_folds_share_out_the_rows_that_are_not_test_rows():
    label = many(203, labels=3)
    for seed, folds in ((0, 2), (1, 5), (2, 7)):
        checked = marked(prints(203, seed=seed), label=label)
        found = [dealt(checked, seed=seed, folds=folds, fold=fold) for fold in range(folds)]
        assert len({tuple(sides["test"]) for sides in found}) == 1, "whatever the fold"
        assert len(found[0]["test"]) == pytest.approx(30, abs=2)
        validated = sorted(row for sides in found for row in sides["validation"])
        assert validated == sorted(set(range(203)) - set(found[0]["test"]))
        for sides in found:
            assert sorted(row for rows in sides.values() for row in rows) == list(range(203))
            assert len(sides["validation"]) == pytest.approx(173 / folds, abs=4)


def test_folds_keep_groups_whole():
    by = [i % 30 + 1 for i in range(150)]
    checked = marked(prints(150), by=by)
    for fold in range(3):
        sides = dealt(checked, folds=3, fold=fold)
        users = [{by[i] for i in rows} for rows in sides.values()]
        assert sum(map(len, users)) == 30


def test_folds_of_labels_with_few_rows_are_of_like_size():
    """Each label alone would give its only row to the first fold."""
    label = [f"label {i % 60}" for i in range(240)]
    checked = marked(prints(240), label=label)
    sizes = [len(dealt(checked, folds=6, fold=fold, test=0.25)["validation"]) for fold in range(6)]
    assert sum(sizes) == 180
    assert max(sizes) - min(sizes) <= 6


# --- given sides


def test_a_column_decides_for_every_row():
    side = [random.Random(i).randrange(3) for i in range(60)]
    sides = dealt(marked(prints(60), side=side), column="part")
    assert sides == {name: [i for i in range(60) if side[i] == n] for n, name in enumerate(SIDES)}


def test_a_column_may_leave_sides_out_but_not_training():
    sides = dealt(marked(prints(3), side=[0, 0, 0]), column="part")
    assert [len(rows) for rows in sides.values()] == [3, 0, 0]
    with refused("empty_side", "none is left for train", "data.split.column"):
        dealt(marked(prints(3), side=[1, 2, 2]), column="part")


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        ({"test": ["t"]}, [85, 15, 20]),
        ({"validation": ["v"]}, [85, 20, 15]),
        ({"validation": ["v"], "test": ["t"]}, [100, 20, 20]),
    ],
)
def test_given_files_stay_and_only_the_other_sides_are_dealt(given, sizes):
    number = {"validation": 1, "test": 2}
    side = [DEALT] * 100 + [number[name] for name in given for _ in range(20)]
    checked = marked(prints(len(side)), side=side)
    sides = dealt(checked, data=Data(**given))
    assert [len(rows) for rows in sides.values()] == sizes
    for row, known in enumerate(side):
        assert known == DEALT or row in sides[SIDES[known]]


def test_given_validation_rows_leave_no_folds_to_deal():
    side = [DEALT] * 100 + [1] * 20
    sides = dealt(marked(prints(120), side=side), data=Data(validation=["v"], split=Split(folds=5)))
    assert [len(rows) for rows in sides.values()] == [85, 20, 15]


# --- too little


@pytest.mark.parametrize("rows", [0, 1, 2, 3])
def test_too_few_rows_are_refused_with_what_would_do(rows):
    with refused("too_few_rows", f"{rows} rows", "none would be left for", r"at least", "data.split"):
        dealt(marked(prints(rows), label=[str(i % 2) for i in range(rows)]))


@pytest.mark.parametrize("share", [0.05, 0.1, 0.15, 0.3])
def test_what_is_said_to_be_enough_is_enough(share):
    with pytest.raises(WeitiaoError) as caught:
        dealt(marked(prints(2), label=["0", "1"]), validation=share, test=share)
    enough = caught.value.values["needed"]
    for seed in range(20):
        checked = marked(prints(enough, seed=seed), label=[str(i % 2) for i in range(enough)])
        dealt(checked, validation=share, test=share, seed=seed)


@pytest.mark.parametrize("tie", ["by", "near", "group"])
def test_rows_that_must_stay_together_are_no_lack_of_rows(tie):
    """More rows of the same group would not help, and are not asked for."""
    with refused(
        "too_few_groups", "40 rows form 1 groups", "none would be left for validation, test", "group_by"
    ):
        dealt(marked(prints(40), **{tie: [7] * 40}))


def test_sides_that_nobody_asked_for_may_be_empty():
    sides = dealt(marked(prints(2), label=["0", "1"]), validation=0, test=0)
    assert [len(sides[name]) for name in SIDES] == [2, 0, 0]


def test_a_label_without_training_rows_is_refused():
    label = ["common"] * 40 + ["rare"]
    refusals = 0
    for seed in range(40):
        try:
            sides = dealt(
                marked(prints(41), label=label), seed=seed, validation=0.3, test=0.3, stratify=False
            )
        except WeitiaoError as error:
            refusals += 'the label "rare" (1 rows, first a.csv line 41) would have no training row' in str(
                error
            )
        else:
            assert 40 in sides["train"]
    assert 10 < refusals < 36
