"""Rows with a wrong set of labels, those first of which the surest label is wrong.

badness of a row = max over its wrong labels of p where the label is not true, 1 - p where it is
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Fact, Rows
from weitiao.core.registry import register
from weitiao.evaluate.worst import NONE, PREDICTED, TRUE, Case, worst, wrong_of


@register("section", "wrong_sets")
@dataclass(frozen=True)
class WrongSets(Analysis):
    """Labels that are missing, and labels too many."""

    summary: ClassVar[str] = "rows with labels missing or too many, the most confident first"
    needs: ClassVar[tuple[str, ...]] = ("labels", "scores")

    def section(self, judged: Judged) -> Rows | None:
        """The rows; none where all sets are right."""
        found = []
        for row, (true, said) in enumerate(zip(judged.rows, judged.systems["tuned"], strict=True)):
            wrong = {*true["labels"]} ^ {*said["labels"]}
            if not wrong:
                continue
            off = {label: abs((label in true["labels"]) - said["scores"].get(label, 0.0)) for label in wrong}
            sure = max(sorted(off), key=lambda label: off[label])
            facts = [
                Fact(name=TRUE, value=", ".join(true["labels"]) or NONE, tone="want"),
                Fact(name=PREDICTED, value=", ".join(said["labels"]) or NONE, tone="got"),
                Fact(name=both("probability of", "概率："), value=sure, number=said["scores"].get(sure)),
            ]
            mistake = (tuple(true["labels"]), tuple(said["labels"]))
            found.append((off[sure], Case(row, facts, mistake)))
        found.sort(key=lambda pair: -pair[0])
        then = both("Those come first of which the surest label is wrong.", "错得最自信的标签所在的行靠前。")
        note = wrong_of(len(found), len(judged.rows), then)
        shown = worst(judged, [case for _, case in found])
        return Rows(title=both("Worst errors", "最自信的错误"), note=note, rows=shown) if found else None
