"""Pictures that were drawn, before tuning and after, from the same noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Fact, Row, Rows
from weitiao.core.registry import register
from weitiao.evaluate.worst import CALLED, place


@register("section", "painted")
@dataclass(frozen=True)
class Painted(Analysis):
    """Of the first rows that were answered, one picture a system."""

    summary: ClassVar[str] = "pictures drawn before and after, from the same noise"
    needs: ClassVar[tuple[str, ...]] = ("drawn",)

    def section(self, judged: Judged) -> Rows | None:
        """As many rows as `evaluate.samples` asks for; none where nothing was drawn."""
        drawn = [row for row, said in enumerate(judged.systems["tuned"]) if "drawn" in said][: judged.samples]
        rows = [
            Row(
                text=str(judged.rows[row]["text"]),
                picture=judged.systems[name][row]["drawn"],
                facts=[Fact(name=both("drawn", "生成"), value=CALLED[name])],
                place=place(judged.rows[row]),
            )
            for row in drawn
            for name in ("untuned", "tuned")
            if judged.systems.get(name)
        ]
        note = both("The same words and the same noise, before and after.", "相同的文字与噪声，微调前后。")
        return Rows(title=both("Drawn pictures", "生成的图片"), note=note, rows=rows) if rows else None
