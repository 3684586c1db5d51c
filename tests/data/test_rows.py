"""Rows on disk read like a list: every slice, pick and order of one, against the list itself."""

from __future__ import annotations

import gc
import os
import random
import tempfile
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data.rows import Rows

fuzzed = settings(max_examples=150, deadline=None, derandomize=True, database=None)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=6))
LONE = st.sampled_from(["\ud800", "a\udfffb", "{", "}", '"', "\\", "\n", "\0"])
VALUES = st.recursive(
    st.one_of(LEAVES, LONE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(
    st.builds(
        Record,
        st.sampled_from(["a.csv", "b {2}.csv", "表.csv"]),
        st.integers(1, 10**9),
        st.dictionaries(st.text(max_size=3), VALUES, max_size=3),
    ),
    max_size=8,
)


def numbered(count: int, *, words: int = 1) -> Rows:
    return Rows(Record("a.csv", i, {"text": f"{i} " + "word " * words}) for i in range(count))


@pytest.mark.whole
@fuzzed
@given(RECORDS)
def test_rows_come_back_as_they_went_in(records):
    rows = Rows(records)
    assert len(rows) == len(records)
    assert list(rows) == records
    assert [rows[i] for i in range(len(rows))] == records
    assert [rows[-i] for i in range(1, len(rows) + 1)] == records[::-1]


@pytest.mark.whole
@fuzzed
@given(RECORDS, st.data())
def test_picks_and_slices_are_those_of_a_list(records, data):
    rows, wanted = Rows(records), list(records)
    for _ in range(3):  # picks of picks
        if wanted and data.draw(st.booleans()):
            places = data.draw(st.lists(st.integers(0, len(wanted) - 1), max_size=6))
            rows, wanted = rows.take(places), [wanted[i] for i in places]
        else:
            part = data.draw(st.slices(len(wanted)))
            rows, wanted = rows[part], wanted[part]
        assert list(rows) == wanted
        assert len(rows) == len(wanted)
        assert rows.sha256() == Rows(wanted).sha256()


@pytest.mark.parametrize("index", [3, -4, 100])
def test_there_is_nothing_beyond_the_end(index):
    with pytest.raises(IndexError):
        numbered(3)[index]
    with pytest.raises(IndexError):
        numbered(5).take([0, 2, 4])[index]


def test_rows_can_be_read_between_writes():
    rows, written = Rows(), []
    for i in range(50):
        written.append(Record("a", i, {"text": "x" * i}))
        rows.append(written[-1])
        assert rows[i] == written[i]
        assert rows[i // 2] == written[i // 2]
    early = rows.take([0])
    rows.append(Record("b", 1, {}))
    assert list(early) == written[:1]
    assert rows[50].file == "b"


def test_the_print_is_that_of_the_content_alone():
    one = [Record("a.csv", 1, {"text": "x"}), Record("a.csv", 2, {"text": "y"})]
    print = Rows(one).sha256()
    moved = [Record("other.csv", 70, {"text": "x"}), Record("third.csv", 1, {"text": "y"})]
    assert Rows(moved).sha256() == print, "wherever they stand"
    others = [
        one[::-1],
        one[:1],
        [*one, *one],
        [one[0], Record("a.csv", 2, {"text": "y "})],
        [one[0], Record("a.csv", 2, {"texts": "y"})],
        [one[0], Record("a.csv", 2, {"text": "y", "label": None})],
        [],
    ]
    prints = [print, *(Rows(records).sha256() for records in others)]
    assert len(set(prints)) == len(prints)


@pytest.mark.whole
def test_what_lies_on_disk_is_gone_with_the_rows():
    gc.collect()  # what tests before this one have left is theirs
    before = len(os.listdir("/proc/self/fd"))
    rows = numbered(1000)
    view = rows.take([5])
    del rows
    gc.collect()
    assert view[0].line == 5, "a view keeps the file"
    del view
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_memory_does_not_grow_with_the_texts():
    def peak(words: int) -> int:
        tracemalloc.start()
        rows = numbered(2000, words=words)
        for record in rows:
            assert record.values
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    # 2,000 rows of 10 kB are 20 MB; the buffer of the file is one.
    assert peak(2000) < peak(1) + 2_000_000


def test_reading_one_row_takes_no_longer_in_a_long_table():
    def cost(rows: Rows) -> float:
        places = random.Random(0).choices(range(len(rows)), k=2000)
        start = time.process_time()
        for place in places:
            rows[place]
        return time.process_time() - start

    short, long = numbered(500), numbered(50_000)
    assert min(cost(long) for _ in range(3)) < 4 * min(cost(short) for _ in range(3))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_said_and_leaves_no_noise(monkeypatch):
    """`/dev/full` takes nothing, as a disk without space does."""
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Path("/dev/full").open("r+b", 1024))  # noqa: SIM115
    rows = Rows()
    with pytest.raises(WeitiaoError, match="disk_full"):
        rows.append(Record("a.csv", 1, {"text": "word " * 1000}))
    del rows
    gc.collect()  # an error of the finalizer would be a warning here
