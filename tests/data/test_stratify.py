"""Rows with several labels: every label keeps its share on every side, whatever it stands beside."""

from __future__ import annotations

import random
import time
from collections import Counter

import numpy as np
import pytest

from tests.conftest import write_jsonl
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Data, Split
from weitiao.data.check import check
from weitiao.data.shapes import MULTI_LABELLED
from weitiao.data.split import split
from weitiao.data.stratify import stratified


def drawn(rows, *, seed=0, labels=12):
    """Labels of falling frequency, drawn by themselves: nearly every combination of them is rare."""
    rng = random.Random(seed)
    often = [0.4 * 0.75**place for place in range(labels)]
    return [[f"l{place}" for place, share in enumerate(often) if rng.random() < share] for _ in range(rows)]


def dealt(folder, sets, *, data=None, seed=0, users=None, **settings):
    rows = [{"text": f"row number {n}", "labels": own} for n, own in enumerate(sets)]
    if users:
        rows = [{**row, "user": user} for row, user in zip(rows, users, strict=True)]
    file = write_jsonl(folder / "rows.jsonl", rows)
    asked = Data(train=[str(file)], near_duplicates="keep", split=Split(**settings), **(data or {}))
    return split(check(asked, MULTI_LABELLED), asked, seed=seed)


def counted(sets, rows):
    return Counter(label for row in rows for label in sets[row])


def test_every_label_keeps_its_share_to_a_row_or_two(tmp_path):
    for seed in range(3):
        sets = drawn(900, seed=seed)
        whole = counted(sets, range(900))
        sides = dealt(tmp_path, sets, seed=seed, validation=0.2, test=0.1)
        assert sorted(np.concatenate(list(sides.values())).tolist()) == list(range(900))
        assert [len(sides[name]) for name in ("validation", "test")] == [
            pytest.approx(180, abs=2),
            pytest.approx(90, abs=2),
        ]
        for name, share in (("train", 0.7), ("validation", 0.2), ("test", 0.1)):
            found = counted(sets, sides[name])
            for label, rows in whole.items():
                assert found[label] == pytest.approx(share * rows, abs=2), (name, label, rows)


def test_rare_labels_are_trained_on_and_judged_where_there_are_rows(tmp_path):
    sets = [["often"]] * 60 + [["often", "once"]] + [["seven"]] * 7 + [[]] * 32
    sides = dealt(tmp_path, sets, validation=0.15, test=0.15)
    assert counted(sets, sides["train"])["once"] == 1
    assert [counted(sets, sides[name])["seven"] for name in ("train", "validation", "test")] == [5, 1, 1]
    none = [sum(not sets[row] for row in sides[name]) for name in ("train", "validation", "test")]
    assert none == pytest.approx([22.4, 4.8, 4.8], abs=1.5)
    # Also where most rows judge.
    few = dealt(tmp_path, sets, validation=0.1, test=0.8)
    assert {"once", "often", "seven"} <= {*counted(sets, few["train"])}


def test_without_stratifying_shares_are_left_to_chance(tmp_path):
    sets = drawn(300)
    asked = dealt(tmp_path, sets, stratify=True)
    assert dealt(tmp_path, sets, stratify=False)["test"].tolist() != asked["test"].tolist()


def test_groups_stay_whole_and_labels_keep_their_shares(tmp_path):
    rng = random.Random(5)
    sets, users = drawn(900, seed=4), [f"u{rng.randrange(200)}" for _ in range(900)]
    sides = dealt(tmp_path, sets, users=users, validation=0.15, test=0.15, group_by="user")
    of = {name: {users[row] for row in rows} for name, rows in sides.items()}
    assert not of["train"] & (of["test"] | of["validation"])
    assert not of["test"] & of["validation"]
    whole, found = counted(sets, range(900)), counted(sets, sides["test"])
    assert all(abs(found[label] - 0.15 * rows) <= 5 for label, rows in whole.items())


def test_folds_share_out_the_rows_that_are_not_test_rows(tmp_path):
    sets = drawn(400, labels=6)
    folds = [dealt(tmp_path, sets, test=0.2, folds=4, fold=fold) for fold in range(4)]
    test = {*folds[0]["test"].tolist()}
    assert all({*each["test"].tolist()} == test for each in folds)
    together = [row for each in folds for row in each["validation"].tolist()]
    assert sorted([*together, *test]) == list(range(400))
    whole = counted(sets, range(400))
    for each in folds:
        found = counted(sets, each["validation"])
        assert all(found[label] == pytest.approx(0.2 * rows, abs=2.5) for label, rows in whole.items())


def test_a_label_that_only_given_test_rows_carry_is_refused(tmp_path):
    other = write_jsonl(tmp_path / "test.jsonl", [{"text": "another row", "labels": ["new", "l0"]}])
    with pytest.raises(WeitiaoError) as caught:
        dealt(tmp_path, [["l0"], ["l1"], []] * 9, data={"test": [str(other)]}, test=0)
    assert caught.value.code == "untrained_label"
    assert '"new"' in str(caught.value)
    assert "test.jsonl" in str(caught.value)


def test_the_seed_deals_anew_and_one_seed_always_alike(tmp_path):
    sets = drawn(200)
    one, two, again = (dealt(tmp_path, sets, seed=seed)["test"].tolist() for seed in (1, 2, 1))
    assert one == again != two


def test_very_many_rows_are_dealt_in_seconds():
    rng = np.random.default_rng(0)
    own = [{f"l{label}": 1 for label in labels} for labels in rng.integers(0, 300, (30_000, 3)).tolist()]
    fits = [np.ones(30_000, dtype=bool)] * 3
    start = time.process_time()
    sizes = np.ones(30_000, dtype=int)
    chance = rng.permutation(30_000)
    side = stratified(sizes, own, [0.15, 0.15, 0.7], fits, chance, judging=2)
    assert time.process_time() - start < 8
    assert np.bincount(side).tolist() == pytest.approx([4500, 4500, 21000], abs=60)
