"""Can its probabilities be believed?

rows by the probability of what they were given, in bins of about equally many (equal probabilities stay together)
    ->  a point a bin: mean probability, share that is right, Wilson's interval of that share (Wilson 1927, JASA 22, 209-212)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Curve, Line
from weitiao.core.registry import register
from weitiao.evaluate.arrays import scores


@register("section", "calibration")
@dataclass(frozen=True)
class Calibration(Analysis):
    """How often rows are right that were given a label with about the same probability."""

    bins: int = 10
    """Points, at most."""
    fewest: int = 15
    """Rows that a point is made of, at least."""

    summary: ClassVar[str] = "probability of what is said, against how often it is right"
    needs: ClassVar[tuple[str, ...]] = ("label", "scores")

    def section(self, judged: Judged) -> Curve | None:
        """A curve, with intervals; none where rows are too few for two points."""
        from scipy import stats

        bins = min(self.bins, len(judged.rows) // self.fewest)
        if not judged.labels or bins < 2:
            return None
        told = judged.systems["tuned"]
        likeliest = scores(told, judged.labels).max(1)
        right = np.array([a["label"] == b["label"] for a, b in zip(judged.rows, told, strict=True)])
        # Where the first row of a probability would stand among all, so that equal ones stay together.
        bin_N = np.searchsorted(np.sort(likeliest), likeliest) * bins // len(likeliest)
        parts = [np.flatnonzero(bin_N == place) for place in np.unique(bin_N)]
        around = [
            stats.binomtest(int(right[part].sum()), len(part)).proportion_ci(judged.confidence, "wilson")
            for part in parts
        ]
        return Curve(
            title=both("Calibration", "校准"),
            note=both(
                f"Each point: about {len(told) // bins:,} test rows of like probability, and the share of them that is right, with its "
                "interval. On the line probabilities mean what they say; below it the model is too sure.",
                f"每个点约含 {len(told) // bins:,} 行概率相近的测试数据，纵轴为其中判对的比例及区间。在线上则概率可信，在线下则过于自信。",
            ),
            x=both("probability of the predicted label", "预测类别的概率"),
            y=both("share that is right", "判对的比例"),
            lines=[
                Line(
                    name=both("tuned", "微调后"),
                    x=[float(likeliest[part].mean()) for part in parts],
                    y=[float(right[part].mean()) for part in parts],
                    low=[float(span.low) for span in around],
                    high=[float(span.high) for span in around],
                )
            ],
            x_range=(0.0, 1.0),
            y_range=(0.0, 1.0),
            diagonal=both("as often as it says", "与概率一致"),
        )
