"""Which label is taken for which.

rows with one label each  ->  how often each true label (row) was given each label (column)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Matrix, Words
from weitiao.core.registry import register
from weitiao.evaluate.arrays import confusion

PAIRS = 3


@register("section", "confusion")
@dataclass(frozen=True)
class Confusion(Analysis):
    """True label by predicted one."""

    most: int = 60
    """Labels that a matrix shows; of more, those that are in most mistakes."""

    summary: ClassVar[str] = "which label is taken for which"
    needs: ClassVar[tuple[str, ...]] = ("label",)

    def section(self, judged: Judged) -> Matrix | None:
        """The matrix; none without labels."""
        labels = list(judged.labels)
        if not labels:
            return None
        return matrix(confusion(judged.rows, judged.systems["tuned"], labels), labels, most=self.most)


def matrix(counts: Any, labels: Sequence[str], *, most: int) -> Matrix:
    """How often each true label (rows) was given each label (columns), as a section.

    Args:
        counts: (C, C).
        labels: of rows and columns.
        most: that are shown; of more, those that are in most mistakes.
    """
    shown = _shown(counts, most)
    values = counts[np.ix_(shown, shown)]
    names: list[Words] = [labels[i] for i in shown]
    columns = [*names]
    note = both(
        "Rows are the true label, columns the predicted one. Shade and small print: share of the row.",
        "行为真实类别，列为预测类别。深浅与小字为占该行的比例。",
    )
    if len(shown) < len(labels):
        # The shares of a row are of all its rows, also of those that were given a label that is not shown.
        values = np.column_stack([values, counts[shown].sum(1) - values.sum(1)])
        columns.append(both("others", "其他"))
        note.en += f" Of {len(labels):,} labels the {len(shown)} that are in most mistakes are shown."
        note.zh += f"共 {len(labels):,} 个类别，此处为误判最多的 {len(shown)} 个。"
    return Matrix(
        title=both("Confusion", "混淆矩阵"),
        note=note,
        foot=_most_confused(counts, labels),
        corner=both("true ↓ predicted →", "真实 ↓ 预测 →"),
        rows=names,
        columns=columns,
        values=values.tolist(),
        diagonal=True,
    )


def _shown(counts: Any, most: int) -> list[int]:
    if len(counts) <= most:
        return list(range(len(counts)))
    wrong = counts.sum(0) + counts.sum(1) - 2 * counts.diagonal()
    return sorted(np.argsort(-wrong, kind="stable")[:most].tolist())


def _most_confused(counts: Any, labels: Sequence[str]) -> Any:
    """The pairs that are mistaken most often, in words; nothing where none is."""
    wrong = counts - np.diag(counts.diagonal())
    worst = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS].tolist()
    pairs = [(i, j, int(wrong[i, j])) for i, j in (divmod(at, len(labels)) for at in worst) if wrong[i, j]]
    if not pairs:
        return ""
    # What a user named is set apart, so that letters of another direction move nothing.
    english = [f"\u2068{labels[i]} read as {labels[j]} ({count:,})\u2069" for i, j, count in pairs]
    chinese = [f"\u2068{labels[i]} 误作 {labels[j]}（{count:,}）\u2069" for i, j, count in pairs]
    return both(f"Most often mistaken: {', '.join(english)}", f"最常见的误判：{'；'.join(chinese)}")
