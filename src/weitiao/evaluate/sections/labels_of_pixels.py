"""How well the pixels of each label are found, and for which other label they are taken most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Column, Table, TableRow
from weitiao.core.registry import register
from weitiao.evaluate.arrays import ratio
from weitiao.evaluate.pixels import counted


@register("section", "labels_of_pixels")
@dataclass(frozen=True)
class LabelsOfPixels(Analysis):
    """Overlap, recall and precision of each label in pixels, the worst first."""

    summary: ClassVar[str] = "overlap, recall and precision of each label in pixels, and its share of them"
    needs: ClassVar[tuple[str, ...]] = ("mask",)

    def section(self, judged: Judged) -> Table | None:
        """A row for each label that is there, or is said; none where no pixel is known."""
        labels = list(judged.labels)
        pairs_CD = counted(judged.rows, judged.systems["tuned"], labels).sum(0)
        hit, said, true = np.diagonal(pairs_CD), pairs_CD[:, :-1].sum(0), pairs_CD.sum(1)
        met = np.flatnonzero(said + true)
        if not len(met):
            return None
        overlap, dice = ratio(hit, said + true - hit), ratio(2 * hit, said + true)
        recall, precision = ratio(hit, true), ratio(hit, said)
        order = met[np.argsort(overlap[met], kind="stable")]
        return Table(
            title=both("Per label", "各标签"),
            head=both("label", "标签"),
            columns=[
                Column(title=both("IoU", "交并比"), most=1.0),
                Column(title=both("Dice", "Dice"), most=1.0),
                Column(title=both("recall", "召回率"), most=1.0),
                Column(title=both("precision", "精确率"), most=1.0),
                Column(title=both("share of the pixels", "占像素的比例"), most=1.0),
            ],
            rows=[
                TableRow(
                    name=labels[place],
                    values=[
                        float(each[place]) for each in (overlap, dice, recall, precision, true / true.sum())
                    ],
                )
                for place in order.tolist()
            ],
        )
