"""Preference pairs: is the chosen answer simply the longer one?

chosen longer than rejected in 81 % of the pairs  ->  what is learnt may be length
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from weitiao.data.doctor.finding import Case, Diagnosis, Finding, Part, Row, finding, percent

BIAS = 0.75
LEAST = 20


class Preferences(Part):
    """Lengths of chosen and rejected answers."""

    shapes: ClassVar[tuple[str, ...]] = ("preference",)

    def __init__(self, case: Case):
        super().__init__(case)
        self.longer = self.shorter = 0

    def see(self, row: Row) -> None:
        """Which of the two is longer."""
        chosen, rejected = (_size(row.record.values[name]) for name in ("chosen", "rejected"))
        self.longer += chosen > rejected
        self.shorter += chosen < rejected

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """The bias, when there is one, either way."""
        rows = len(self.case.rows)
        diagnosis.tables["preference"] = {"longer": self.longer, "shorter": self.shorter}
        for which, count in (("longer", self.longer), ("shorter", self.shorter)):
            if rows >= LEAST and count > BIAS * rows:
                yield finding(f"chosen_{which}", "warning", count=count, share=percent(count, rows))


def _size(turns: Sequence[Mapping[str, Any]]) -> int:
    return sum(len(turn.get("content") or "") for turn in turns)
