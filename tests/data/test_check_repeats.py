"""Repeated rows, contradictions and rows near each other are found, within one file and beside given test rows."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.conftest import write_csv, write_jsonl
from tests.data.test_check import noted, refused, table, texts
from weitiao.core.recipe import Data
from weitiao.data import check as checking
from weitiao.data.check import check, inspect
from weitiao.data.equal_text import digest, normalised, repeated
from weitiao.data.shapes import CONVERSATION, LABELLED, NUMBERED, UNPAIRED

# --- repeated rows


def test_repeated_rows_are_left_out_and_counted(tmp_path):
    pairs = [("A film", "1"), ("a  FILM ", "1"), ("Ａ film", "1"), ("another", "0"), ("a film", "1")]
    checked = check(table(tmp_path, pairs, max_dropped_fraction=0), LABELLED)
    assert [record.line for record in checked.rows] == [2, 5]
    first = f"of {tmp_path}/a.csv line 2"
    assert noted(checked.ledger, "duplicate") == [(3, first), (4, first), (6, first)]
    assert checked.ledger.counts() == {"kept": 2, "duplicate": 3}


def test_repeated_rows_are_kept_when_asked(tmp_path):
    checked = check(table(tmp_path, [("a", "1"), ("a", "1"), ("b", "0")], duplicates="keep"), LABELLED)
    assert checked.ledger.counts() == {"kept": 3}
    assert texts(checked) == ["a", "a", "b"]
    assert checked.marks.key[0] == checked.marks.key[1] != checked.marks.key[2]


def test_rows_repeated_over_two_files_are_found(tmp_path):
    one = write_csv(tmp_path / "a.csv", [{"text": "a", "label": "1"}, {"text": "b", "label": "0"}])
    two = write_csv(tmp_path / "b.csv", [{"text": "B", "label": "0"}, {"text": "c", "label": "1"}])
    checked = check(Data(train=[str(one), str(two)]), LABELLED)
    assert noted(checked.ledger, "duplicate") == [(2, f"of {one} line 3")]
    assert [file["rows"] for file in checked.ledger.files] == [2, 2]
    assert checked.marks.source.tolist() == [0, 0, 1]


@pytest.mark.parametrize("duplicates", ["drop", "keep"])
def test_one_text_with_two_labels_is_a_contradiction_all_over(duplicates, tmp_path):
    pairs = [("so so", "1"), ("fine", "1"), ("So so", "0"), ("dull", "0"), ("so  so", "1")]
    data = table(tmp_path, pairs, duplicates=duplicates)
    with refused("lost_rows", "3 of 5", 'line 2: .* labelled "1" here and "0" in .*line 4'):
        check(data.model_copy(update={"max_dropped_fraction": 0.5}), LABELLED)
    checked = check(data, LABELLED)
    assert texts(checked) == ["fine", "dull"]
    assert [line for line, _ in noted(checked.ledger, "quarantined")] == [2, 4, 6]


def test_an_answer_that_is_liked_and_not_liked_is_a_contradiction_and_two_measures_are_none(tmp_path):
    rows = [{"prompt": "p", "completion": "c", "label": liked} for liked in (True, False)]
    rows.append({"prompt": "p", "completion": "d", "label": True})
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    assert inspect(Data(train=[str(path)]), UNPAIRED).ledger.counts() == {"kept": 1, "quarantined": 2}
    measured = inspect(table(tmp_path, [("t", "1"), ("t", "2.5"), ("t", "1.0")]), NUMBERED)
    assert measured.ledger.counts() == {"kept": 2, "duplicate": 1}


def test_answers_that_differ_are_no_contradiction(tmp_path):
    rows = [{"prompt": "p", "completion": c} for c in ("c", "d", "C ")]
    checked = check(Data(train=[str(write_jsonl(tmp_path / "a.jsonl", rows))]), CONVERSATION)
    assert len(checked.rows) == 2
    assert len(noted(checked.ledger, "duplicate")) == 1
    assert checked.marks.group[0] == checked.marks.group[1]


def test_equal_prints_of_different_texts_cost_no_row(tmp_path, monkeypatch):
    """Planted: texts whose 64 bits collide."""
    monkeypatch.setattr(checking, "digest", lambda text: 7)
    checked = check(table(tmp_path, [("a", "1"), ("b", "1"), ("A", "1"), ("c", "1")]), LABELLED)
    assert texts(checked) == ["a", "b", "c"]
    assert noted(checked.ledger, "duplicate") == [(4, f"of {tmp_path}/a.csv line 2")]


@pytest.mark.parametrize(
    ("one", "other"),
    [("ABC", "abc"), ("ａｂｃ", "abc"), (" a\t b\n", "a b"), ("ß", "SS"), ("①", "1"), ("a\u3000b", "a b")],
)
def test_width_case_and_space_do_not_tell_texts_apart(one, other):
    assert normalised(one) == normalised(other)
    assert digest(normalised(one)) == digest(normalised(other)) != 0


def test_other_things_do():
    assert (
        len({digest(normalised(text)) for text in ("a", "a.", "á", "a b", "ab", "不好", "好", "\ud800")}) == 8
    )


def test_repeated_finds_every_value_that_occurs_again():
    rng = random.Random(2)
    for size in [0, 1, *range(2, 30)]:
        values = [rng.randrange(8) for _ in range(size)]
        places = {v: [i for i, other in enumerate(values) if other == v] for v in sorted(set(values))}
        found = [group.tolist() for group in repeated(np.array(values, dtype=np.uint64))]
        assert found == [group for group in places.values() if len(group) > 1]


# --- given validation and test rows


def given(path, sides: dict[str, list[tuple[str, str]]], **more) -> Data:
    for side, pairs in sides.items():
        write_csv(path / f"{side}.csv", [{"text": text, "label": label} for text, label in pairs])
    files = {side: [str(path / f"{side}.csv")] for side in sides}
    return Data(**{**files, "max_dropped_fraction": 1, **more})


@pytest.mark.parametrize("duplicates", ["drop", "keep"])
def test_the_judging_copy_stays_and_the_training_one_goes(duplicates, tmp_path):
    sides = {
        "train": [("a", "0"), ("b", "1"), ("c", "0"), ("d", "1"), ("A ", "0")],
        "validation": [("B", "1"), ("e", "0"), ("c", "0")],
        "test": [("a", "0"), ("C", "0")],
    }
    checked = check(given(tmp_path, sides, duplicates=duplicates), LABELLED)
    side = {
        (r.file.rpartition("/")[2], r.values["text"]): s
        for r, s in zip(checked.rows, checked.marks.side, strict=True)
    }
    assert side == {
        ("train.csv", "d"): -1,
        ("validation.csv", "B"): 1,
        ("validation.csv", "e"): 1,
        ("test.csv", "a"): 2,
        ("test.csv", "C"): 2,
    }
    assert checked.ledger.counts() == {"kept": 5, "duplicate": 5}
    assert checked.ledger.leaks["removed"] == 5
    gone = {(row["file"].rpartition("/")[2], row["line"]): row["reason"] for row in checked.ledger.rows}
    assert gone["train.csv", 2] == f"of {tmp_path}/test.csv line 2, a test row"
    assert gone["train.csv", 3] == f"of {tmp_path}/validation.csv line 2, a validation row"
    assert gone["validation.csv", 4] == f"of {tmp_path}/test.csv line 3, a test row"


def test_repeats_within_the_test_file_follow_the_setting(tmp_path):
    sides = {"train": [("x", "0"), ("y", "1")], "test": [("a", "0"), ("A", "0"), ("b", "1")]}
    for duplicates, counts in (("drop", {"kept": 4, "duplicate": 1}), ("keep", {"kept": 5})):
        checked = check(given(tmp_path, sides, duplicates=duplicates), LABELLED)
        assert checked.ledger.counts() == counts
        assert "removed" not in checked.ledger.leaks


@pytest.mark.parametrize("near_duplicates", ["group", "drop", "keep"])
def test_who_asks_what_a_given_test_row_asks_does_not_train(near_duplicates, tmp_path):
    """Rows of one question stay on one side when they are dealt; so must they when the sides are given."""
    for name, rows in (("train", [("q", "a"), ("r", "b")]), ("test", [("Q ", "c")])):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"prompt": p, "completion": c} for p, c in rows])
    files = {side: [str(tmp_path / f"{side}.jsonl")] for side in ("train", "test")}
    checked = check(Data(**files, near_duplicates=near_duplicates), CONVERSATION)
    assert [record.values["messages"][0]["content"] for record in checked.rows] == ["r", "Q "]
    assert checked.ledger.leaks["removed"] == 1


def test_the_user_of_a_given_test_row_does_not_train(tmp_path):
    rows = [("a", "u1"), ("b", "u2"), ("c", ""), ("d", "u1")]
    write_csv(tmp_path / "train.csv", [{"text": t, "label": t, "user": u} for t, u in rows])
    write_csv(
        tmp_path / "test.csv", [{"text": t, "label": "a", "user": u} for t, u in [("x", "u1"), ("y", "")]]
    )
    files = {side: [str(tmp_path / f"{side}.csv")] for side in ("train", "test")}
    data = Data(**files, split={"group_by": "user"}, max_dropped_fraction=1)
    checked = check(data, LABELLED)
    assert texts(checked) == ["b", "c", "x", "y"]
    assert checked.ledger.leaks["removed"] == 2
    first = f"has the `user` of {tmp_path}/test.csv line 2, a test row"
    assert noted(checked.ledger, "dropped") == [(2, first), (5, first)]
    with refused("lost_rows", "has the `user` of"):
        check(data.model_copy(update={"max_dropped_fraction": 0}), LABELLED)


# --- near duplicates, as `data.near` finds them


@pytest.fixture
def near(monkeypatch):
    """Texts that begin with the same letter count as nearly the same."""

    def groups(texts, *, threshold):
        first: dict[str, int] = {}
        return np.array([first.setdefault(texts[i][0], i) for i in range(len(texts))])

    monkeypatch.setattr("weitiao.data.near.near_groups", groups)


def test_near_duplicates_are_grouped_dropped_or_not_looked_for(near, tmp_path):
    pairs = [("film one", "1"), ("plot", "0"), ("FILM one", "1"), ("film two", "0"), ("plots", "0")]
    grouped = check(table(tmp_path, pairs), LABELLED)
    assert texts(grouped) == ["film one", "plot", "film two", "plots"]
    assert grouped.marks.near.tolist() == [0, 1, 0, 1]
    dropped = check(table(tmp_path, pairs, near_duplicates="drop"), LABELLED)
    assert texts(dropped) == ["film one", "plot"]
    assert [
        line for line, reason in noted(dropped.ledger, "duplicate") if reason.startswith("nearly of")
    ] == [5, 6]
    kept = check(table(tmp_path, pairs, near_duplicates="keep"), LABELLED)
    assert kept.marks.near.tolist() == [0, 1, 2, 3]


def test_training_rows_nearly_like_a_given_test_row_go(near, tmp_path):
    sides = {"train": [("film", "0"), ("plot", "1"), ("plots", "1")], "test": [("fine", "0"), ("five", "0")]}
    checked = check(given(tmp_path, sides), LABELLED)
    assert texts(checked) == ["plot", "plots", "fine", "five"]
    assert checked.ledger.leaks["removed"] == 1
    assert noted(checked.ledger, "duplicate") == [(2, f"nearly of {tmp_path}/test.csv line 2, a test row")]
