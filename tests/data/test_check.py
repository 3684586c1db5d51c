"""No row disappears: what is kept, repaired, repeated and lost adds up to what was read, with place and reason."""

from __future__ import annotations

import itertools
import json
import random
import tracemalloc
import unicodedata
from collections import Counter

import numpy as np
import pytest

from tests.conftest import write_csv, write_jsonl
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Data
from weitiao.data import check as checking
from weitiao.data.check import check, inspect
from weitiao.data.equal_text import digest, normalised, repeated
from weitiao.data.labels import label_table
from weitiao.data.shapes import (
    CONVERSATION,
    LABELLED,
    MULTI_LABELLED,
    NUMBERED,
    PLAIN,
    TAGGED,
    UNPAIRED,
)


def refused(code: str, *words: str):
    return pytest.raises(WeitiaoError, match=rf"(?s)^\[{code}\].*" + ".*".join(words))


def table(path, pairs, name="a.csv", **more) -> Data:
    write_csv(path / name, [{"text": text, "label": label} for text, label in pairs])
    return Data(**{"train": [str(path / name)], "max_dropped_fraction": 1, **more})


def noted(ledger, status: str) -> list[tuple[int, str]]:
    return [(row["line"], row["reason"]) for row in ledger.rows if row["status"] == status]


def texts(checked) -> list[str]:
    return [record.values["text"] for record in checked.rows]


# --- rows that cannot be used


def test_lost_rows_stop_the_run_and_are_named(tmp_path):
    data = table(tmp_path, [("good", "1"), ("", "1"), ("bad", " "), ("fine", "0")], max_dropped_fraction=0)
    with refused(
        "lost_rows",
        "2 of 4 rows",
        "a.csv line 3: the text is empty",
        "line 4: the label is missing",
        "max_dropped_fraction=0.5",
    ):
        check(data, LABELLED)
    with refused("lost_rows"):
        check(data.model_copy(update={"max_dropped_fraction": 0.49}), LABELLED)
    check(data.model_copy(update={"max_dropped_fraction": 0.5}), LABELLED)


@pytest.mark.parametrize(("bad_rows", "status"), [("quarantine", "quarantined"), ("drop", "dropped")])
def test_lost_rows_are_set_aside_or_dropped_as_asked_and_counted(bad_rows, status, tmp_path):
    rows = [("good", "1"), ("", "1"), ("bad", " "), ("fine", "0")]
    checked = check(table(tmp_path, rows, bad_rows=bad_rows), LABELLED)
    assert texts(checked) == ["good", "fine"]
    assert checked.ledger.counts() == {"kept": 2, status: 2}
    assert noted(checked.ledger, status) == [(3, "the text is empty"), (4, "the label is missing")]
    aside = [(row["line"], row["row"]) for row in checked.ledger.quarantine()]
    as_they_came = [(3, {"text": "", "label": "1"}), (4, {"text": "bad", "label": " "})]
    assert aside == (as_they_came if bad_rows == "quarantine" else [])


def test_the_quarantine_holds_the_row_as_it_came_with_every_column(tmp_path):
    row = {"评论": "", "标签": 3, "user": "u", "more": {"a": [1]}}
    path = write_jsonl(tmp_path / "a.jsonl", [row, {**row, "评论": "好"}])
    columns = {"text": "评论", "label": "标签"}
    checked = check(Data(train=[str(path)], columns=columns, max_dropped_fraction=0.5), LABELLED)
    (aside,) = checked.ledger.quarantine()
    assert aside["row"] == row
    assert (aside["line"], aside["status"]) == (1, "quarantined")
    assert dict(checked.rows[0].values) == {"text": "好", "label": "3"}


def test_rows_that_cannot_even_be_read_are_among_them(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "p", "completion": "c"}\n{"prompt"\n{"prompt": "q", "completion": null}\n')
    checked = check(Data(train=[str(path)], max_dropped_fraction=0.7), CONVERSATION)
    assert [line for line, _ in noted(checked.ledger, "quarantined")] == [2, 3]
    with refused("lost_rows", "2 of 3", "line 2: not JSON", "line 3: `completion` is missing"):
        check(Data(train=[str(path)]), CONVERSATION)


def test_when_every_row_is_lost_there_is_nothing_to_go_on_with(tmp_path):
    data = table(tmp_path, [("", "1"), ("  ", "0")])
    with refused("bad_rows", "2 of 2 rows"):
        check(data, LABELLED)
    assert inspect(data, LABELLED).ledger.counts() == {"kept": 0, "quarantined": 2}


def test_inspecting_lists_and_does_not_stop(tmp_path):
    found = inspect(table(tmp_path, [("good", "1"), ("", "1")], max_dropped_fraction=0), LABELLED)
    assert [(row["line"], row["reason"]) for row in found.bad] == [(3, "the text is empty")]
    assert texts(found) == ["good"]


def test_no_rows_at_all(tmp_path):
    with refused("empty_file", "no rows are left"):
        check(Data(train=[]), CONVERSATION)


@pytest.mark.parametrize("side", ["train", "validation", "test"])
def test_a_file_that_is_named_twice_is_refused(side, tmp_path):
    """Its rows would share their places: the ledger could not tell them apart, and a test would be no test."""
    data = table(tmp_path, [("a", "0"), ("b", "1")])
    files = {"train": list(data.train)}
    files[side] = [*files.get(side, []), *data.train]
    with refused("wrong_value", f"data.{side}", "a.csv is in data.train already"):
        check(data.model_copy(update=files), LABELLED)


# --- columns, relabelling, repairs


def test_repairs_are_counted_with_what_was_done(tmp_path):
    data = table(tmp_path, [("a", " good"), ("b", "bad"), ("c", "postive "), ("d", "是")])
    relabel = {"postive": "good", "是": "good"}
    checked = check(data.model_copy(update={"relabel": relabel}), LABELLED)
    assert [record.values["label"] for record in checked.rows] == ["good", "bad", "good", "good"]
    assert noted(checked.ledger, "repaired") == [
        (2, "white space around the label"),
        (4, 'white space around the label; label "postive" read as "good"'),
        (5, 'label "是" read as "good"'),
    ]
    assert checked.ledger.counts() == {"kept": 1, "repaired": 3}


def test_relabelling_makes_several_labels_one_and_settles_contradictions(tmp_path):
    path = write_jsonl(
        tmp_path / "a.jsonl", [{"text": "t", "labels": ["a", "A", "b"]}, {"text": "u", "labels": []}]
    )
    checked = check(Data(train=[str(path)], relabel={"A": "a"}), MULTI_LABELLED)
    assert [record.values["label"] for record in checked.rows] == [["a", "b"], []]
    data = table(tmp_path, [("same", "1"), ("same", "yes"), ("other", "no")])
    assert inspect(data, LABELLED).ledger.counts()["quarantined"] == 2
    assert check(data.model_copy(update={"relabel": {"yes": "1"}}), LABELLED).ledger.counts() == {
        "kept": 2,
        "duplicate": 1,
    }


def test_a_repaired_row_that_is_then_lost_is_lost_with_both_reasons(tmp_path):
    checked = inspect(table(tmp_path, [("same", " 1"), ("same", "0"), ("x", "0")]), LABELLED)
    assert checked.ledger.counts() == {"kept": 1, "quarantined": 2}
    reason = noted(checked.ledger, "quarantined")[0][1]
    assert reason.startswith("white space around the label; the same text is labelled")


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


# --- columns that decide the split


def odd(tmp_path, rows: list[dict], **split) -> Data:
    path = write_jsonl(
        tmp_path / "a.jsonl", [{"text": f"t {i}", "label": "x", **row} for i, row in enumerate(rows)]
    )
    return Data(train=[str(path)], split=split, max_dropped_fraction=1)


def test_a_column_of_sides_is_read_in_the_words_people_use(tmp_path):
    words = [
        "train",
        "Training",
        " test",
        "dev",
        "val",
        "VALID",
        "validation",
        "eval",
        "训练",
        "验证",
        "测试",
        "testing",
    ]
    checked = check(odd(tmp_path, [{"part": word} for word in words], column="part"), LABELLED)
    assert checked.marks.side.tolist() == [0, 0, 2, 1, 1, 1, 1, 1, 0, 1, 2, 2]


@pytest.mark.parametrize("cell", [None, "", "trian", 3, ["train"], {"a": 1}])
def test_a_row_of_no_side_cannot_be_used(cell, tmp_path):
    found = inspect(odd(tmp_path, [{"part": "train"}, {"part": cell}], column="part"), LABELLED)
    ((line, reason),) = noted(found.ledger, "quarantined")
    assert line == 2
    assert "none of train, validation, test" in reason


def test_times_are_numbers_or_dates_in_one_order(tmp_path):
    dates = ["2026-05-01", "2026/05/02", "2026-05-02T10:00:00", "2026-05-02T12:00:00+08:00", " 2026-05-03 "]
    times = check(odd(tmp_path, [{"day": date} for date in dates], time="day"), LABELLED).marks.time
    # The fourth is 04:00 in Greenwich, before the third.
    assert np.argsort(times).tolist() == [0, 1, 3, 2, 4]
    assert times[1] - times[0] == 86400
    numbers = check(odd(tmp_path, [{"day": n} for n in (3, "2", 1.5, "20260501")], time="day"), LABELLED)
    assert numbers.marks.time.tolist() == [3.0, 2.0, 1.5, 20260501.0]


def test_dates_do_not_hang_on_where_the_machine_stands(tmp_path, monkeypatch):
    import time

    data = odd(
        tmp_path,
        [{"day": "2026-03-29 02:30"}, {"day": "2026-03-29T01:00Z"}, {"day": "0001-01-01"}],
        time="day",
    )
    seen = []
    for zone in ("UTC", "Europe/Berlin", "Asia/Shanghai"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        seen.append(check(data, LABELLED).marks.time.tolist())
    monkeypatch.undo()
    time.tzset()
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("cell", [None, "", "soon", "2026-13-01", "nan", "inf", 10**400, [1], {"a": 1}])
def test_a_row_without_a_time_cannot_be_used(cell, tmp_path):
    found = inspect(odd(tmp_path, [{"day": 1}, {"day": cell}], time="day"), LABELLED)
    ((line, reason),) = noted(found.ledger, "quarantined")
    assert line == 2
    assert "neither a number nor a date" in reason
    assert found.ledger.quarantine()[0]["row"]["day"] == cell


@pytest.mark.parametrize(("first", "other"), [("2026-05-01", "2026"), (7, "2026-05-01")])
def test_numbers_and_dates_have_no_common_order(first, other, tmp_path):
    cells = [first, first, other, first]
    found = inspect(odd(tmp_path, [{"day": cell} for cell in cells], time="day"), LABELLED)
    ((line, reason),) = noted(found.ledger, "quarantined")
    assert line == 3
    assert "where earlier rows have" in reason


def test_rows_of_one_user_bear_one_mark_and_those_of_nobody_none(tmp_path):
    users = ["u", "v", "u", None, "", 7, "7"]
    by = check(odd(tmp_path, [{"user": user} for user in users], group_by="user"), LABELLED).marks.by.tolist()
    assert by[0] == by[2] != by[1]
    assert by[3] == by[4] == 0
    assert by[5] == by[6]
    assert 0 not in (by[0], by[1], by[5])


@pytest.mark.parametrize("setting", ["group_by", "time", "column"])
def test_a_column_that_is_not_there_is_named(setting, tmp_path):
    with refused("no_such_column", '"usr"', 'Did you mean "user"'):
        check(odd(tmp_path, [{"user": "train"}], **{setting: "usr"}), LABELLED)


def test_given_files_need_no_column_by_which_only_others_are_dealt(tmp_path):
    write_csv(tmp_path / "train.csv", [{"text": f"t {i}", "label": "x", "day": str(i)} for i in range(3)])
    write_csv(tmp_path / "test.csv", [{"text": "u", "label": "x"}])
    files = {side: [str(tmp_path / f"{side}.csv")] for side in ("train", "test")}
    assert check(Data(**files, split={"time": "day"}), LABELLED).ledger.counts() == {"kept": 4}
    with refused("no_such_column", "test.csv", '"day"'):
        check(Data(**files, split={"group_by": "day"}), LABELLED)


# --- the property


def random_table(rng: random.Random) -> list[dict]:
    texts = ["a", "A", "b", " b", "c", "", "  ", "d", "e", "Ｅ"]
    labels = ["0", "1", "1", "0", "", " ", " 0", "zero"]
    return [{"text": rng.choice(texts), "label": rng.choice(labels)} for _ in range(rng.randint(1, 14))]


@pytest.mark.parametrize("bad_rows", ["quarantine", "drop"])
@pytest.mark.parametrize("duplicates", ["drop", "keep"])
def test_every_row_ends_in_exactly_one_place(duplicates, bad_rows, tmp_path):
    """Over random tables, against rules written again, in the plainest way."""
    rng = random.Random(7)
    lost = {"quarantine": "quarantined", "drop": "dropped"}[bad_rows]
    seen = Counter()
    for trial in range(80):
        rows = random_table(rng)
        path = write_csv(tmp_path / f"{trial}.csv", rows)
        data = Data(train=[str(path)], bad_rows=bad_rows, duplicates=duplicates, relabel={"zero": "0"})
        found = inspect(data, LABELLED)
        ledger = found.ledger

        label = {i: row["label"].strip().replace("zero", "0") for i, row in enumerate(rows, start=2)}
        same = {
            i: " ".join(unicodedata.normalize("NFKC", row["text"]).lower().split())
            for i, row in enumerate(rows, start=2)
        }
        usable = [i for i in label if label[i] and same[i]]
        good = [i for i in usable if len({label[j] for j in usable if same[j] == same[i]}) == 1]
        again = [i for i in good if any(j < i and same[j] == same[i] for j in good)]
        ends = dict.fromkeys(label, "kept")
        ends |= {i: "repaired" for i in usable if label[i] != rows[i - 2]["label"]}
        ends |= dict.fromkeys(again, "duplicate") if duplicates == "drop" else {}
        ends |= {i: lost for i in label if i not in good}

        assert {**dict.fromkeys(label, "kept"), **{r["line"]: r["status"] for r in ledger.rows}} == ends
        assert len({row["line"] for row in ledger.rows}) == len(ledger.rows)
        assert [r.line for r in found.rows] == [i for i in ends if ends[i] in ("kept", "repaired")]
        assert {k: n for k, n in ledger.counts().items() if n} == Counter(ends.values())
        assert sum(ledger.counts().values()) == ledger.total == len(rows)
        assert all(row["reason"] for row in ledger.rows)
        assert [r["line"] for r in ledger.quarantine()] == [i for i in ends if ends[i] == "quarantined"]
        assert len(found.marks.key) == len(found.rows)
        seen.update(ends.values())
    assert seen[lost] > 80
    assert seen["repaired"] > 40
    assert (seen["duplicate"] > 30) == (duplicates == "drop")


def test_whatever_stands_in_a_line_it_is_counted(tmp_path):
    """Odd values under every column of a conversation: good rows stay, the rest is set aside, nothing breaks."""
    odd = [None, 3, "", [], {}, [[]], "[", [{"role": "user"}], True, "x" * 5000, "\ud800", 10**30]
    good = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = [{"messages": value, "tools": tool} for value, tool in itertools.product([good, *odd], odd)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = inspect(Data(train=[str(path)]), CONVERSATION)
    counts = found.ledger.counts()
    assert sum(counts.values()) == found.ledger.total == len(rows)
    assert counts["kept"] == len(found.rows) >= 1


# --- memory


class Lazy:
    """A source that makes its rows when asked."""

    path = file = "lazy.jsonl"
    columns = ["text"]

    def __init__(self, rows: int, words: int):
        self.count, self.words = rows, words

    def rows(self):
        for i in range(self.count):
            yield Record(self.path, i + 1, {"text": f"{i} " + "long_text_" * self.words})

    def facts(self):
        return {"path": self.path}


def test_memory_does_not_hold_the_texts(monkeypatch):
    def peak(rows: int, words: int) -> int:
        monkeypatch.setattr(checking, "read", lambda names, **_: [Lazy(rows, words)])
        tracemalloc.start()
        checked = check(Data(train=["x"], near_duplicates="keep"), PLAIN)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(checked.rows) == rows
        return used

    peak(10, 10)  # what is imported on the way
    few, many, longer = peak(200, 500), peak(4000, 500), peak(4000, 10)
    # 4,000 rows of 5 kB are 20 MB, 19 of them beyond the few; some hundred bytes a row, and a buffer, are allowed.
    assert many - few < 4000 * 400
    assert abs(many - longer) < 1_500_000


# --- labels


def test_the_label_table_counts_each_split(tmp_path):
    rows = check(table(tmp_path, [("a", "1"), ("b", "0"), ("c", "1")]), LABELLED).rows
    sides = {"train": rows.take([0, 1, 2]), "test": rows.take([1]), "validation": rows.take([])}
    assert label_table(sides, LABELLED) == {"train": {"0": 1, "1": 2}, "test": {"0": 1}}
    assert label_table(sides, PLAIN) == {}


LOOK_ALIKE = ["bad", "bad\u200b", "\ufeffbad", "b\u00adad", "bad\u00a0 ", "ｂａｄ", "bad\u2060", "bad\0"]


@pytest.mark.parametrize("alone", [False, True])
def test_labels_that_look_alike_are_one_and_said(alone, tmp_path):
    """What no screen shows makes no label of its own; case, and joiners that are seen, do."""
    labels = ["bad\u200b"] * 8 if alone else LOOK_ALIKE
    lines = [
        json.dumps({"text": f"text {n}", "label": label})
        for n, label in enumerate([*labels, "Bad", "می\u200cخ", "میخ", "\u200b"])
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    checked = inspect(Data(train=[str(tmp_path / "a.jsonl")]), LABELLED)
    assert [row.values["label"] for row in checked.rows] == ["bad"] * 8 + ["Bad", "می\u200cخ", "میخ"]
    assert [checked.marks.strata[at] for at in checked.marks.stratum] == [
        row.values["label"] for row in checked.rows
    ]
    reasons = {row["line"]: row["reason"] for row in checked.ledger.rows}
    assert reasons[2] == 'label "bad\\u200b" read as "bad"' + ", which is spelt so elsewhere" * (not alone)
    assert set(reasons) == {*range(1 if alone else 2, 9), 12}
    assert "label" in reasons[12]


def test_what_no_screen_shows_is_no_word_and_no_part_of_a_tag(tmp_path):
    rows = [
        {"tokens": ["Ann", "sings"], "tags": ["B-PER\u200b", "O\u00a0"]},
        {"tokens": ["Bob", "\u200b\u200d\ufeff"], "tags": ["B-PER", "O"]},
        {"tokens": ["Cid", "می\u200cخ"], "tags": ["B-PER", "O"]},
    ]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    checked = inspect(Data(train=[str(path)]), TAGGED)
    assert [row.values["tags"] for row in checked.rows] == [["B-PER", "O"]] * 2
    told = {row["line"]: row for row in checked.ledger.rows}
    assert told[1]["status"] == "repaired"
    assert told[1]["reason"] == r'tag "B-PER\u200b" read as "B-PER"; tag "O\xa0" read as "O"'
    assert (told[2]["status"], told[2]["reason"]) == ("quarantined", "token 2 is empty")
    assert set(told) == {1, 2}
