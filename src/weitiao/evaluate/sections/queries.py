"""Test queries and what was found for each, those whose right passage stands farthest back first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Answer, Fact, Rows
from weitiao.core.registry import register
from weitiao.data.passages import SHOWN
from weitiao.evaluate.worst import Case, worst


@register("section", "queries")
@dataclass(frozen=True)
class Queries(Analysis):
    """The first passages of each query with the right one marked; queries that went well fill up to `evaluate.samples`."""

    summary: ClassVar[str] = "queries with the passages found first, the right one marked"
    needs: ClassVar[tuple[str, ...]] = ("ranks", "found")

    def section(self, judged: Judged) -> Rows | None:
        """The queries; none where no query has a right passage."""
        told = judged.systems["tuned"]
        best = {row: one["ranks"][0] for row, one in enumerate(told) if one["ranks"]}
        order = sorted(best, key=lambda row: -best[row])
        wrong = sum(rank > 1 for rank in best.values())
        cases = [self._case(judged, row, told[row]) for row in order[: max(wrong, judged.samples)]]
        note = both(
            f"Of {wrong:,} of {len(best):,} test queries the first passage found is not the right one. Those whose right "
            "passage stands farthest back come first.",
            f"测试集 {len(best):,} 条查询中，有 {wrong:,} 条排在第一位的段落并非正确段落。正确段落越靠后的查询排得越前。",
        )
        title = both("Queries and what was found", "查询与找到的段落")
        return Rows(title=title, note=note, rows=worst(judged, cases)) if cases else None

    def _case(self, judged: Judged, row: int, told: Mapping[str, Any]) -> Case:
        ranks = told["ranks"]
        answers = []
        for place, (at, which) in enumerate(told["found"], start=1):
            text = _passages(judged.rows[row if at is None else at])[which]
            rank = place if place <= SHOWN else ranks[0]
            right = rank in ranks
            name = both(f"{rank}, right", f"{rank}，正确") if right else both(str(rank), str(rank))
            answers.append(Answer(name=name, text=text, system="reference" if right else "tuned"))
        fact = Fact(name=both("rank of the right passage", "正确段落的名次"), value=ranks[0])
        return Case(row, [fact], mistake=tuple(answer.text for answer in answers), answers=answers)


def _passages(row: Mapping[str, Any]) -> list[str]:
    """Those of a row, in their order."""
    if "passages" in row:
        return list(row["passages"])
    return [text for name, text in row.items() if name == "positive" or name.startswith("negative.")]
