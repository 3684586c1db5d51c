"""A few answers, before tuning and after, for no reason but to be read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Row, Rows
from weitiao.core.registry import register
from weitiao.evaluate.worst import place, said, shown, text


@register("section", "samples")
@dataclass(frozen=True)
class Samples(Analysis):
    """The first rows with a short prompt, so that a reader can take them in."""

    longest: int = 300
    """Characters of a prompt."""

    summary: ClassVar[str] = "answers to a few short prompts, before and after"
    needs: ClassVar[tuple[str, ...]] = ("answer",)

    def section(self, judged: Judged) -> Rows | None:
        """As many as `evaluate.samples` asks for; none where no row was answered."""
        short = (row for row, one in enumerate(judged.rows) if len(text(one)) <= self.longest)
        found = (
            (row, answers)
            for row in short
            if (answers := said(judged, row, ("untuned", "tuned"))) is not None
        )
        rows = [
            Row(text=text(one), answers=answers, place=place(one), **shown(one))
            for row, answers in islice(found, judged.samples)
            for one in (judged.rows[row],)
        ]
        return (
            Rows(
                title=both("Answers", "回答样例"),
                note=both("The same prompt, before and after.", "同一提示，微调前后。"),
                rows=rows,
                brief=True,
            )
            if rows
            else None
        )
