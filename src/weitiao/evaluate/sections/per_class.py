"""How each class does: labels, several labels a row, or types of spans.

precision = hit / said        recall = hit / true        F1 = 2 hit / (said + true)        0 stands for 0/0
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Column, Table, TableRow
from weitiao.core.registry import register
from weitiao.evaluate.arrays import marks, ratio
from weitiao.evaluate.metrics.spans import counts


@register("section", "per_class")
@dataclass(frozen=True)
class PerClass(Analysis):
    """Precision, recall, F1 and number of each class."""

    summary: ClassVar[str] = "precision, recall and F1 of each label, or type of span"
    needs: ClassVar[tuple[str, ...]] = ("label|labels|spans",)

    def section(self, judged: Judged) -> Table | None:
        """A row a class; none without classes."""
        labels = judged.labels
        if not labels:
            return None
        hit, said, true = _sums(judged)
        columns = ratio(hit, said), ratio(hit, true), ratio(2 * hit, said + true)
        shares = np.nan_to_num(np.stack(columns, axis=1)).tolist()
        return Table(
            title=both("Class by class", "逐类结果"),
            head=both("label", "类别"),
            columns=[
                Column(title=both("precision", "精确率"), most=1.0),
                Column(title=both("recall", "召回率"), most=1.0),
                Column(title=both("F1", "F1"), most=1.0),
                Column(title=both("how often", "出现次数")),
            ],
            rows=[
                TableRow(name=label, values=[*row, int(count)])
                for label, row, count in zip(labels, shares, true, strict=True)
            ],
        )


def _sums(judged: Judged) -> Any:
    """hit, said and true of each class (3, C)."""
    labels, told = judged.labels, judged.systems["tuned"]
    if "spans" in told[0]:
        return counts(judged.rows, told, labels).sum(1)[:, : len(labels)].astype(int)
    true, said = marks(judged.rows, labels), marks(told, labels)
    return np.stack([part.sum(0).astype(int) for part in (true * said, said, true)])
