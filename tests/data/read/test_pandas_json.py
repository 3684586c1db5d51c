"""What pandas' `to_json` writes: rows are read, whole tables are refused with the words that write rows."""

from __future__ import annotations

import json

import pytest

import weitiao as wt
from tests.conftest import reviews
from weitiao.core.errors import WeitiaoError

pandas = pytest.importorskip("pandas")


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
@pytest.mark.parametrize("orient", ["columns", "split", "index", "values"])
def test_a_whole_table_is_refused_by_its_orient(orient, name, tmp_path):
    table = pandas.DataFrame(reviews(12)).iloc[3:]  # numbers that do not begin at 0
    table.to_json(tmp_path / name, orient=orient)
    with pytest.raises(WeitiaoError, match=rf'orient="{orient}"(?s:.)*lines=True') as caught:
        wt.check(tmp_path / name)
    assert caught.value.code == "wrong_usage"


@pytest.mark.parametrize(
    "words", [{"orient": "records"}, {"orient": "records", "lines": True}, {"orient": "table"}]
)
def test_rows_are_read(words, tmp_path):
    pandas.DataFrame(reviews(12)).to_json(tmp_path / "rows.json", **words)
    assert wt.check(tmp_path / "rows.json", duplicates="keep").ledger.counts()["kept"] == 12


def test_a_row_that_begins_like_a_table_is_a_row(tmp_path):
    rows = [{"scores": {"0": 0.1, "1": 0.9}, **row} for row in reviews(3)]
    for some in (rows, rows[:1]):
        (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, some)))
        assert wt.check(tmp_path / "rows.jsonl", duplicates="keep").ledger.counts()["kept"] == len(some)
