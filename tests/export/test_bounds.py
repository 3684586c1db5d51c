"""How far the score of a rounded form may move."""

from __future__ import annotations

import pytest

from weitiao.export.differs import Differs
from weitiao.export.parity import Bounds, refuse_moved


@pytest.mark.parametrize(
    ("exact", "rows", "now", "may"),
    [
        (False, 1000, 0.755, True),
        (False, 1000, 0.756, True),
        (False, 1000, 0.754, False),
        (False, 100, 0.75, True),  # one row is a whole point
        (False, 100, 0.74, False),
        (True, 100, 0.75, False),  # what rounds nothing moves no row
    ],
)
def test_a_score_may_move_by_half_a_point_or_one_row(exact, rows, now, may):
    metric = {"name": "accuracy", "rows": rows, "bounded": True}
    metric |= {"tuned": {"value": 0.76}, "exported": {"value": now}}
    if may:
        assert refuse_moved(metric, Bounds(exact, 1e-4, 0.005)) == pytest.approx(now - 0.76)
    else:
        with pytest.raises(Differs):
            refuse_moved(metric, Bounds(exact, 1e-4, 0.005))
