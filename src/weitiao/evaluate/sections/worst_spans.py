"""Rows with most wrong spans: those that were not found, and those that are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Fact, Rows
from weitiao.core.registry import register
from weitiao.evaluate.metrics.spans import unlike
from weitiao.evaluate.worst import Case, worst, wrong_of


@register("section", "worst_spans")
@dataclass(frozen=True)
class WorstSpans(Analysis):
    """Spans that are missed or made up, rows with most of them first."""

    summary: ClassVar[str] = "rows with most spans missed or made up"
    needs: ClassVar[tuple[str, ...]] = ("spans",)

    def section(self, judged: Judged) -> Rows | None:
        """The rows; none where every span is found."""
        found = []
        for row, (true, said) in enumerate(zip(judged.rows, judged.systems["tuned"], strict=True)):
            missed, made_up = unlike(true, said)
            if not (missed or made_up):
                continue
            facts = []
            if missed:
                facts.append(Fact(name=both("missed", "漏掉"), value=_said(missed), tone="want"))
            if made_up:
                facts.append(Fact(name=both("made up", "误认"), value=_said(made_up), tone="got"))
            mistake = (_said(missed), _said(made_up))
            found.append((len(missed) + len(made_up), Case(row, facts, mistake)))
        found.sort(key=lambda pair: -pair[0])
        then = both("Those with most wrong spans come first.", "错误片段越多的行越靠前。")
        note = wrong_of(len(found), len(judged.rows), then)
        shown = worst(judged, [case for _, case in found])
        return Rows(title=both("Worst errors", "错误最多的行"), note=note, rows=shown) if found else None


def _said(spans: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(f"{span.get('text') or (span['start'], span['end'])} ({span['type']})" for span in spans)
