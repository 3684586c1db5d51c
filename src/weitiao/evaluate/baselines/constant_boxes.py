"""The same boxes in every picture: for each label the one that its things mostly have.

median of [cx, cy, width, height] in shares of the picture of a label's things     score: share of the pictures that hold one
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.data.boxed import OBJECTS
from weitiao.data.pictures.boxes import centred, cornered


@register("baseline", "constant_boxes")
@dataclass(frozen=True)
class ConstantBoxes(Baseline):
    """For each label one box, in the middle of where its things are."""

    summary: ClassVar[str] = (
        "the same boxes in every picture: for each label the median of the training rows'"
    )
    source: ClassVar[str] = "numpy.median"
    blind: ClassVar[bool] = True

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Medians and shares by label."""
        boxes: defaultdict[str, list[Any]] = defaultdict(list)
        pictures: defaultdict[str, int] = defaultdict(int)
        for record in records:
            values = record.values
            things = [one for one in values[OBJECTS] if not one.get("crowd")]
            for one in things:
                boxes[one["label"]].append(centred([one["box"]], values["width"], values["height"])[0])
            for label in {one["label"] for one in things}:
                pictures[label] += 1
        usual = {label: np.median(boxes[label], axis=0) for label in sorted(boxes)}

        def answers(unseen: Sequence[Record]) -> list[dict[str, Any]]:
            return [
                {
                    "objects": [
                        {
                            "label": label,
                            "box": cornered([box_4], row.values["width"], row.values["height"])[0].tolist(),
                            "score": pictures[label] / len(records),
                        }
                        for label, box_4 in usual.items()
                    ]
                }
                for row in unseen
            ]

        return answers
