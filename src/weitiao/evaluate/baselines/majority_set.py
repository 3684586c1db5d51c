"""The set of labels that comes most often among the training rows, whatever the text says.

[["a"], ["a", "b"], ["a"]]  ->  ["a"]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register


@register("baseline", "majority_set")
@dataclass(frozen=True)
class MajoritySet(Baseline):
    """The commonest set of labels of the training rows; of equals the first by name."""

    summary: ClassVar[str] = "the commonest set of labels of the training rows"
    source: ClassVar[str] = "sklearn.dummy.DummyClassifier, of sets"

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Counts the sets."""
        counts = Counter(tuple(sorted(record.values["label"])) for record in records)
        labels = max(sorted(counts), key=counts.__getitem__)
        return lambda unseen: [{"labels": list(labels)} for _ in unseen]
