"""The commonest label of the training rows, whatever the text says.

{"good": 30, "bad": 20}  ->  "good"
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register


@register("baseline", "majority")
@dataclass(frozen=True)
class Majority(Baseline):
    """The commonest label of the training rows; of equals the first by name."""

    summary: ClassVar[str] = "the commonest label of the training rows"
    source: ClassVar[str] = "sklearn.dummy.DummyClassifier"
    blind: ClassVar[bool] = True

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Counts the labels."""
        counts = Counter(record.values["label"] for record in records)
        label = max(sorted(counts), key=counts.__getitem__)
        return lambda unseen: [{"label": label} for _ in unseen]
