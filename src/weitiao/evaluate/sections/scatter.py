"""True numbers against those that were said: a point a row."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Curve, Line
from weitiao.core.registry import register
from weitiao.evaluate.arrays import numbers


@register("section", "scatter")
@dataclass(frozen=True)
class Scatter(Analysis):
    """What was said of each row over what is true of it."""

    most: int = 1000
    """Points; of more rows, so many are drawn by the seed."""

    summary: ClassVar[str] = "predicted over true numbers"
    needs: ClassVar[tuple[str, ...]] = ("number",)

    def section(self, judged: Judged) -> Curve | None:
        """The points, and how many rows lie in their interval where they have one."""
        told = judged.systems["tuned"]
        true, said = numbers(judged.rows), numbers(told)
        sure = np.isfinite(true) & np.isfinite(said)
        rows = np.flatnonzero(sure).tolist()
        if not rows:
            return None
        shown = sorted(Random(judged.seed).sample(rows, self.most)) if len(rows) > self.most else rows
        some = len(shown) < len(told)
        ends = [
            float(end)
            for end in (min(true[rows].min(), said[rows].min()), max(true[rows].max(), said[rows].max()))
        ]
        spare = 0.04 * (ends[1] - ends[0]) or 1.0
        return Curve(
            title=both("Predicted over true", "预测与真实"),
            note=both(
                (
                    f"Each point is a test row ({len(shown):,} of {len(told):,}, drawn by the seed). "
                    if some
                    else "Each point is a test row. "
                )
                + "On the line it is right.",
                (
                    f"每个点为一行测试数据（按种子从 {len(told):,} 行中抽取 {len(shown):,} 行）"
                    if some
                    else "每个点为一行测试数据"
                )
                + "，落在线上即预测准确。",
            ),
            foot=_covered(judged),
            x=both("true", "真实"),
            y=both("predicted", "预测"),
            lines=[
                Line(
                    name=both("tuned", "微调后"), x=true[shown].tolist(), y=said[shown].tolist(), joined=False
                )
            ],
            x_range=(ends[0] - spare, ends[1] + spare),
            y_range=(ends[0] - spare, ends[1] + spare),
            diagonal=both("as it is", "与真实一致"),
        )


def _covered(judged: Judged) -> Any:
    """How many rows lie between the ends that were said of them; nothing where none were."""
    told = judged.systems["tuned"]
    if "low" not in told[0]:
        return ""
    inside = sum(
        one["low"] <= row["number"] <= one["high"] for row, one in zip(judged.rows, told, strict=True)
    )
    share = f"{100 * inside / len(told):.1f} %"
    return both(
        f"{inside:,} of {len(told):,} rows ({share}) lie between the low and high end that are said of them.",
        f"{len(told):,} 行中有 {inside:,} 行（{share}）落在其下限与上限之间。",
    )
