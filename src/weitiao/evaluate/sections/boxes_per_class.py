"""How well the things of each class are found: average precision, and at an overlap of one half."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from weitiao.core import registry
from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Column, Table, TableRow
from weitiao.core.registry import register
from weitiao.evaluate.judge import value


@register("section", "boxes_per_class")
@dataclass(frozen=True)
class BoxesPerClass(Analysis):
    """Average precision of each class, the worst first, and how many of its things there are."""

    summary: ClassVar[str] = "average precision of each class of things, and how many there are"
    needs: ClassVar[tuple[str, ...]] = ("objects",)

    def section(self, judged: Judged) -> Table | None:
        """A row for each class of which there is a thing; none where there is one class or none."""
        told = judged.systems["tuned"]
        there = Counter(one["label"] for row in judged.rows for one in row["objects"] if not one.get("crowd"))
        if len(there) < 2:
            return None

        def of(name: str, label: str) -> float:
            metric = registry.build("metric", {"name": name, "label": label})
            return value(metric, metric.rows(judged.rows, told, [label]))

        found = sorted((of("box_map", label), of("box_map_50", label), label) for label in there)
        return Table(
            title=both("Per class", "各类别"),
            head=both("class", "类别"),
            columns=[
                Column(title=both("average precision", "平均精度"), most=1.0),
                Column(title=both("at 50 % overlap", "重叠 50 % 时"), most=1.0),
                Column(title=both("things", "物体数")),
            ],
            rows=[TableRow(name=label, values=[*values, there[label]]) for *values, label in found],
        )
