"""Rows whose number is farthest off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Fact, Rows
from weitiao.core.registry import register
from weitiao.evaluate.arrays import numbers
from weitiao.evaluate.worst import PREDICTED, TRUE, Case, worst


@register("section", "worst_numbers")
@dataclass(frozen=True)
class WorstNumbers(Analysis):
    """Numbers by how far they are off."""

    summary: ClassVar[str] = "rows whose number is farthest off"
    needs: ClassVar[tuple[str, ...]] = ("number",)

    def section(self, judged: Judged) -> Rows | None:
        """The rows; none where every number is right."""
        told = judged.systems["tuned"]
        true, said = numbers(judged.rows), numbers(told)
        off = said - true
        order = [row for row in np.argsort(-np.abs(off), kind="stable").tolist() if off[row]]
        cases = [
            Case(
                row,
                facts=[
                    Fact(name=TRUE, value=float(true[row]), tone="want"),
                    Fact(name=PREDICTED, value=float(said[row]), tone="got"),
                    Fact(name=both("off by", "偏差"), value=float(off[row])),
                ],
                mistake=bool(off[row] > 0),
            )
            for row in order
        ]
        note = both(
            "The rows that are farthest off: look for bad numbers here.",
            "偏差最大的行，标错的数值常在其中。",
        )
        title = both("Worst errors", "偏差最大的行")
        return Rows(title=title, note=note, rows=worst(judged, cases)) if cases else None
