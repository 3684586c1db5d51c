"""The mean of the numbers of the training rows, whatever the text says.

[1.0, 2.0, 6.0]  ->  3.0
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register


@register("baseline", "mean")
@dataclass(frozen=True)
class Mean(Baseline):
    """The mean of the numbers of the training rows: what R2 sets at 0."""

    summary: ClassVar[str] = "the mean of the training rows"
    source: ClassVar[str] = "sklearn.dummy.DummyRegressor"
    blind: ClassVar[bool] = True

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Adds up the numbers."""
        mean = math.fsum(record.values["label"] for record in records) / len(records)
        return lambda unseen: [{"number": mean} for _ in unseen]
