"""Intervals hold the truth about as often as they say, and with rows in groups only if the judge is told of them."""

from __future__ import annotations

import pytest
from scipy import stats

from benchmarks.coverage import covered
from tests.evaluate.judging import shelf

SETS = 120
METRICS = shelf("accuracy", "f1", "perplexity")


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_cover_as_often_as_they_say(grouped):
    found = covered(SETS, grouped=grouped, metrics=METRICS, units=60, resamples=300, rows=60_000)
    for name, share in found.items():
        # `python -m benchmarks.coverage` says 0.93 to 0.96 of a thousand sets; so few have a chance of one in a thousand.
        assert share * SETS >= stats.binom.ppf(0.001, SETS, 0.94), name


def test_rows_of_a_group_are_no_witnesses_of_their_own():
    options = {"grouped": True, "units": 60, "resamples": 300, "rows": 60_000}
    deaf = covered(SETS, metrics=METRICS, told=False, **options)
    assert max(deaf.values()) < 0.87
