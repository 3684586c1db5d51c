"""Rows with a wrong label, the most confident first: bad labels of the data stand among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Fact, Rows
from weitiao.core.registry import register
from weitiao.evaluate.worst import PREDICTED, TRUE, Case, worst, wrong_of


@register("section", "errors")
@dataclass(frozen=True)
class Errors(Analysis):
    """Wrong labels, by the probability that they were given with."""

    summary: ClassVar[str] = "rows with a wrong label, the most confident first"
    needs: ClassVar[tuple[str, ...]] = ("label",)

    def section(self, judged: Judged) -> Rows | None:
        """The rows; none where all are right."""
        told = judged.systems["tuned"]
        pairs = enumerate(zip(judged.rows, told, strict=True))
        wrong = [row for row, (true, said) in pairs if true["label"] != said["label"]]
        wrong.sort(key=lambda row: -told[row].get("score", 0.0))
        cases = [
            Case(
                row,
                facts=[
                    Fact(name=TRUE, value=true, tone="want"),
                    Fact(name=PREDICTED, value=said, number=told[row].get("score"), tone="got"),
                ],
                mistake=(true, said),
            )
            for row in wrong
            for true, said in [(judged.rows[row]["label"], told[row]["label"])]
        ]
        then = both(
            "The most confident come first: look for bad labels here.", "越自信的越靠前，标错的数据常在其中。"
        )
        title = both("Worst errors", "最自信的错误")
        note = wrong_of(len(wrong), len(told), then)
        return Rows(title=title, note=note, rows=worst(judged, cases)) if wrong else None
