"""Answers that share fewest words with their reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weitiao.core import registry
from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Fact, Rows
from weitiao.core.registry import register
from weitiao.evaluate.worst import Case, said, worst


@register("section", "worst_answers")
@dataclass(frozen=True)
class WorstAnswers(Analysis):
    """Answers by the F1 of their words, the least first."""

    summary: ClassVar[str] = "answers that share fewest words with their reference"
    needs: ClassVar[tuple[str, ...]] = ("answer",)

    def section(self, judged: Judged) -> Rows | None:
        """The rows; none where every answer has the words of its reference."""
        told = judged.systems["tuned"]
        rows = [row for row, one in enumerate(told) if "answer" in one]
        metric = registry.build("metric", {"name": "token_f1"})
        of_rows = metric.rows([judged.rows[row] for row in rows], [told[row] for row in rows], judged.labels)
        each = np.asarray(metric.value(np.asarray(of_rows)))
        order = [at for at in np.argsort(each, kind="stable").tolist() if each[at] < 1]
        cases = [
            Case(
                rows[at],
                facts=[Fact(name=both("token F1", "词级 F1"), value=float(each[at]))],
                mistake=(judged.rows[rows[at]]["reference"], told[rows[at]]["answer"]),
                answers=said(judged, rows[at], ("tuned",)) or (),
            )
            for at in order
        ]
        note = both(
            f"{len(cases):,} of {len(rows):,} answers differ from their reference. Those with the fewest words in common come "
            "first.",
            f"{len(rows):,} 条回答中有 {len(cases):,} 条与参考答案不同，共同的词越少越靠前。",
        )
        title = both("Worst answers", "最差的回答")
        return Rows(title=title, note=note, rows=worst(judged, cases)) if cases else None
