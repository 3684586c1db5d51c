"""Test folds: every row in exactly one, nothing that hangs together on two sides, the future unseen."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from pydantic import ValidationError

from tests.conftest import many_labels, write_jsonl
from tests.data.test_split import components, dealt, marked, prints
from tests.data.test_split_as_asked import refused
from weitiao.core.recipe import Data, Split
from weitiao.data.check import check
from weitiao.data.shapes import MULTI_LABELLED
from weitiao.data.split import fold_of_rows, split


def all_folds(checked, folds: int, **settings) -> list[dict[str, list[int]]]:
    return [dealt(checked, test_folds=folds, test_fold=fold, **settings) for fold in range(folds)]


@pytest.mark.parametrize(("rows", "folds"), [(100, 5), (103, 5), (64, 7), (40, 2)])
def test_every_row_is_tested_once_and_each_label_evenly(rows, folds):
    rng = random.Random(rows)
    label = rng.choices("abc", [6, 3, 1], k=rows - 3 * folds) + list("abc") * folds
    found = all_folds(marked(prints(rows), label=label), folds)
    assert sorted(row for sides in found for row in sides["test"]) == list(range(rows))
    sizes = [len(sides["test"]) for sides in found]
    assert max(sizes) - min(sizes) <= 1
    for name in "abc":
        each = [sum(label[row] == name for row in sides["test"]) for sides in found]
        assert max(each) - min(each) <= 1, name
    for sides in found:
        assert sorted(row for rows_ in sides.values() for row in rows_) == list(range(rows))
        assert abs(len(sides["validation"]) - 0.15 * rows) <= 2
    trained = {row for sides in found for row in sides["train"]}
    # Were they the same rows in each fold, 15 % of all would choose in every fold and train in none.
    assert folds == 2 or len(trained) > 0.96 * rows


@pytest.mark.parametrize("asked", [{}, {"stratify": False}, {"time": "t"}])
def test_what_hangs_together_is_tested_together(asked):
    for seed in range(25):
        rng = random.Random(seed)
        count = rng.randint(60, 120)
        by = [rng.choice([0, 0, rng.randint(1, 30)]) for _ in range(count)]
        near = list(range(count))
        for _ in range(8):
            a, b = sorted(rng.sample(range(count), 2))
            near[b] = near[a]
        time = [float(rng.randint(0, 60)) for _ in range(count)]
        checked = marked(prints(count, seed=seed), by=by, near=near, time=time)
        truth = components(near, [value or None for value in by])
        latest = {one: max(time[i] for i in range(count) if truth[i] == one) for one in truth}
        tested: list[int] = []
        for sides in all_folds(checked, 3, **asked):
            where = {row: name for name, rows in sides.items() for row in rows}
            assert len({(truth[row], name) for row, name in where.items()}) == len(
                set(map(truth.__getitem__, where))
            )
            tested += sides["test"]
            if "time" in asked:
                first = min(latest[truth[row]] for row in sides["test"])
                assert all(latest[truth[row]] < first for row in sides["train"] + sides["validation"])
        assert len(tested) == len(set(tested))
        if "time" in asked:
            never = sorted(set(range(count)) - set(tested), key=lambda row: latest[truth[row]])
            assert never, "the first block has nothing before it to train on"
            assert max(latest[truth[row]] for row in never) < min(latest[truth[row]] for row in tested)
        else:
            assert sorted(tested) == list(range(count))


def test_a_user_of_most_rows_is_a_fold_of_their_own():
    checked = marked(prints(200), by=[1] * 100 + list(range(2, 102)))
    sizes = sorted(len(sides["test"]) for sides in all_folds(checked, 5))
    assert sizes == [25, 25, 25, 25, 100]


def test_the_place_in_the_file_does_not_matter_and_the_seed_does():
    keys, label = prints(60), list("ab") * 30
    order = random.Random(1).sample(range(60), 60)
    shuffled = marked([keys[i] for i in order], label=[label[i] for i in order])
    first = {keys[row] for row in dealt(marked(keys, label=label), test_folds=5)["test"]}
    assert {keys[order[row]] for row in dealt(shuffled, test_folds=5)["test"]} == first
    assert {keys[row] for row in dealt(marked(keys, label=label), test_folds=5, seed=1)["test"]} != first


@pytest.mark.parametrize("asked", [{}, {"seed": 7}, {"time": "t"}])
def test_the_fold_of_each_row_is_the_one_that_tests_it(asked):
    checked = marked(prints(60), label=list("ab") * 30, time=[float(i) for i in range(60)])
    data = Data(split=Split(test_folds=4, **asked))
    fold = fold_of_rows(checked, data, seed=1).tolist()
    for number in range(4):
        turn = Data(split=Split(test_folds=4, test_fold=number, **asked))
        tested = dealt(checked, data=turn, seed=1)["test"]
        assert tested == [row for row in range(60) if fold[row] == number]


def test_rows_of_several_labels_are_dealt_label_by_label(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", many_labels(200))
    data = Data(train=[str(path)], format="multi_label")
    checked = check(data, MULTI_LABELLED)
    tested: list[int] = []
    for fold in range(5):
        folded = data.model_copy(update={"split": Split(test_folds=5, test_fold=fold)})
        sides = split(checked, folded, seed=0)
        tested += sides["test"].tolist()
        counts = Counter(label for row in sides["test"] for label in checked.rows[row].values["label"])
        every = Counter(label for row in checked.rows for label in row.values["label"])
        assert all(abs(counts[label] - every[label] / 5) <= 1.5 for label in ("good", "bad"))
    assert sorted(tested) == list(range(len(checked.rows)))


def test_folds_that_cannot_be_dealt_are_refused_by_name():
    with refused("too_few_for_folds", "4 rows cannot be dealt into 5 test folds", "5 in all"):
        dealt(marked(prints(4)), test_folds=5)
    with refused("too_few_for_folds", "form 3 groups"):
        dealt(marked(prints(60), by=[1, 2, 3] * 20), test_folds=5)
    with refused("too_few_for_folds", "form 5 groups", "6 in all"):
        dealt(marked(prints(60), time=[float(i % 5) for i in range(60)]), test_folds=5, time="t")
    rare = marked(prints(60), label=["a"] * 57 + ["b"] * 3)
    with refused("fold_without_label", '"b" has 3 rows in 3 groups', "2 of 5 folds"):
        dealt(rare, test_folds=5)
    assert sum(len(sides["test"]) for sides in all_folds(rare, 3)) == 60
    assert sum(len(sides["test"]) for sides in all_folds(rare, 5, stratify=False)) == 60, (
        "as the way out says"
    )
    with refused("untrained_label", '"late"'):
        late = marked(prints(60), label=["a"] * 40 + ["late"] * 20, time=[float(i) for i in range(60)])
        dealt(late, test_folds=5, time="t")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"test_folds": 5, "test_fold": 5}, "no_such_fold"),
        ({"test_folds": 5, "folds": 3}, "folds_twice"),
        ({"test_folds": 5, "column": "part"}, "column_decides"),
        ({"test_folds": 2, "validation": 0.5}, "nothing_left"),
        ({"test_folds": 9, "validation": 0.5, "time": "day"}, "nothing_left"),
        ({"test_folds": 1}, "greater_than_equal"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, why):
    with pytest.raises(ValidationError) as error:
        Split(**settings)
    assert error.value.errors()[0]["type"] == why
    with pytest.raises(ValidationError, match="test_given_and_dealt"):
        Data(train=["a.csv"], test=["b.csv"], split=Split(test_folds=5))
