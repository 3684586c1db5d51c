"""Large files: rows pass once, little is kept of each, and twice the rows take twice the time."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Iterator, Sequence

import pytest

from weitiao.core.contracts import Record
from weitiao.data.doctor import examine
from weitiao.data.near import near_groups
from weitiao.data.shapes import LABELLED

WORDS = ["".join(random.Random(i).choices("abcdefghijklmnopqrstuvwxyz", k=3 + i % 6)) for i in range(900)]


class Lazy(Sequence):
    """Rows that are made when they are asked for, as those on a disk are; counts how often that is."""

    def __init__(self, rows: int):
        self.rows, self.made = rows, 0

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index):
        self.made += 1
        words = random.Random(index).choices(WORDS, k=8)
        return Record("f.csv", index, {"text": " ".join(words), "label": f"l{index % 3}"})

    def __iter__(self) -> Iterator[Record]:
        return map(self.__getitem__, range(self.rows))


@pytest.mark.whole
def test_rows_pass_once_and_little_is_kept_of_each():
    examine(Lazy(100), LABELLED, ledger={})
    peaks = []
    for count in (4_000, 8_000):
        rows = Lazy(count)
        tracemalloc.start()
        examine(rows, LABELLED, ledger={"total": count, "rows": []})
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert rows.made < count + 100
    assert peaks[1] - peaks[0] < 4_000 * 100


@pytest.mark.whole
def test_twice_the_rows_take_about_twice_the_time():
    def seconds(count: int) -> float:
        records = list(Lazy(count))
        before = time.process_time()
        groups = near_groups([record.values["text"] for record in records])
        examine(records, LABELLED, ledger={"total": count, "rows": []}, groups=groups)
        return time.process_time() - before

    seconds(200)
    small, large = (min(seconds(count) for _ in range(2)) for count in (3_000, 6_000))
    assert large < 3.2 * small
