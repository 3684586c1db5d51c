"""Columns of sides, times and users decide the split in the words people use; a row without them cannot be used."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import write_csv
from tests.data.test_check import noted, odd, refused
from weitiao.core.recipe import Data
from weitiao.data.check import check, inspect
from weitiao.data.shapes import LABELLED


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
