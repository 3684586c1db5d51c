"""Every row ends as exactly one thing, and whatever is noted in whatever order, the counts add up."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data.ledger import LOST, SHOWN, STATUSES, Ledger

fuzzed = settings(max_examples=150, deadline=None, derandomize=True, database=None)
# From the least grave to the gravest, written again.
GRAVITY = {"repaired": 1, "truncated": 2, "duplicate": 3, "dropped": 4, "quarantined": 5}
NOTES = st.lists(
    st.tuples(st.sampled_from(["b.csv", "a.csv"]), st.integers(1, 6), st.sampled_from(sorted(GRAVITY))),
    max_size=20,
)


def ledger(total: int, *, lost: int = 0, status: str = "dropped") -> Ledger:
    made = Ledger(files=[{"path": "a.csv", "rows": total}], total=total)
    for line in range(1, lost + 1):
        made.note(Record("a.csv", line, {}), status, f"reason {line}")
    return made


@fuzzed
@given(NOTES)
def test_the_gravest_counts_and_every_reason_stays(notes):
    made = Ledger(files=[{"path": "b.csv"}, {"path": "a.csv"}], total=12)
    for number, (file, line, status) in enumerate(notes):
        made.note(Record(file, line, {}), status, f"no {number}", raw=f"raw {number}")

    fates: dict = {}
    for number, (file, line, status) in enumerate(notes):
        fates.setdefault((file, line), []).append((number, status))
    ends = {place: max((s for _, s in noted), key=GRAVITY.__getitem__) for place, noted in fates.items()}

    assert [(row["file"], row["line"], row["status"]) for row in made.rows] == [
        (file, line, ends[file, line])
        for file in ("b.csv", "a.csv")  # in the order of the files, not of their names
        for line in range(1, 7)
        if (file, line) in ends
    ]
    for row in made.rows:
        noted = fates[row["file"], row["line"]]
        assert row["reason"] == "; ".join(f"no {number}" for number, _ in noted)
    counts = made.counts()
    assert sum(counts.values()) == 12
    assert counts == {"kept": 12 - len(ends), **Counter(ends.values())}
    assert [row["status"] for row in made.lost()] == [
        row["status"] for row in made.rows if row["status"] in ("dropped", "quarantined")
    ]
    aside = made.quarantine()
    assert len(aside) == counts.get("quarantined", 0)
    for row in aside:
        last = [n for n, status in fates[row["file"], row["line"]] if status == "quarantined"][-1]
        assert row["row"] == f"raw {last}"
    assert json.loads(json.dumps(made.to_dict()))["counts"] == counts


def test_the_statuses_are_those_of_the_promise():
    assert {"kept", *STATUSES} == {"kept", "repaired", "truncated", "duplicate", "dropped", "quarantined"}
    assert sorted(STATUSES, key=GRAVITY.__getitem__) == list(STATUSES)
    assert set(LOST) == {"dropped", "quarantined"}


@pytest.mark.parametrize("status", ["repaired", "truncated", "duplicate"])
def test_what_happens_to_a_row_that_is_not_lost_refuses_nothing(status):
    ledger(3, lost=3, status=status).refuse_losses(0)


@pytest.mark.parametrize("total", [2, 3, 7, 10, 100, 1000, 12345])
def test_the_share_that_the_error_names_accepts_the_loss(total):
    """Share by share, as a person would follow the advice; 0.29 * 100 < 29 in floating point."""
    for lost in {1, 2, total // 3, 29 * total // 100, 57 * total // 100, total - 1} - {0, total}:
        made = ledger(total, lost=lost)
        lost = len(made.lost())
        with pytest.raises(WeitiaoError) as caught:
            made.refuse_losses(0)
        assert (caught.value.code, caught.value.values["count"], caught.value.values["total"]) == (
            "lost_rows",
            lost,
            total,
        )
        accepts = float(caught.value.values["accepts"])
        made.refuse_losses(accepts)
        assert accepts <= 1
        assert accepts < lost / total + 1e-4, "and it is not more than needed"


@pytest.mark.parametrize("hundredths", range(1, 100))
def test_exactly_the_accepted_share_may_be_lost_and_not_one_row_more(hundredths):
    share = float(f"0.{hundredths:02}")
    ledger(100, lost=hundredths).refuse_losses(share)
    with pytest.raises(WeitiaoError):
        ledger(100, lost=hundredths + 1).refuse_losses(share)


def test_nothing_accepts_the_loss_of_every_row():
    with pytest.raises(WeitiaoError, match=r"^\[bad_rows\] 5 of 5 rows"):
        ledger(5, lost=5).refuse_losses(1)


def test_an_empty_ledger_has_lost_nothing():
    Ledger().refuse_losses(0)
    assert Ledger().counts() == {"kept": 0}


def test_the_first_lost_rows_are_named_and_the_rest_counted():
    with pytest.raises(WeitiaoError) as caught:
        ledger(100, lost=30).refuse_losses(0.1)
    text = str(caught.value)
    assert text.count("reason") == SHOWN
    assert "a.csv line 1: reason 1\n" in text
    assert f"and {30 - SHOWN} more" in text
    assert "30 of 100" in text
    assert "max_dropped_fraction is 0.1" in text
    assert "data.max_dropped_fraction=0.3" in text
    with pytest.raises(WeitiaoError) as caught:
        ledger(2, lost=1).refuse_losses(0)
    assert "more (" not in str(caught.value)
