"""The commonest label of the training pixels, everywhere.

{"grass": 90,000 pixels, "path": 20,000}  ->  all of every picture is grass
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.data.masked import MASK
from weitiao.data.pictures import masks


@register("baseline", "majority_pixel")
@dataclass(frozen=True)
class MajorityPixel(Baseline):
    """The label of most pixels; of equals the first by name."""

    summary: ClassVar[str] = "the commonest label of the training pixels, everywhere"
    source: ClassVar[str] = "sklearn.dummy.DummyClassifier, of pixels"
    blind: ClassVar[bool] = True

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Counts the pixels."""
        counts: Counter[str] = Counter()
        for record in records:
            mask = record.values[MASK]
            found = masks.read(mask)
            often = np.bincount(found[found >= 0], minlength=len(mask["labels"]))
            counts.update(dict(zip(mask["labels"], often.tolist(), strict=True)))
        label = max(sorted(counts), key=counts.__getitem__)
        return lambda unseen: [
            {MASK: masks.written(np.zeros((row.values["height"], row.values["width"]), int), [label])}
            for row in unseen
        ]
