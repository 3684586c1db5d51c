"""The length of an answer as its reward: people often like long ones, and so does a model that has learnt nothing else.

{"completion": [assistant], "label": true}  ->  {"reward": 57.0}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.evaluate.baselines.tfidf_liked import text


@register("baseline", "length")
@dataclass(frozen=True)
class Length(Baseline):
    """Long answers, or short ones where liked answers of the training rows are the shorter ones on average."""

    summary: ClassVar[str] = "the length of the answer (or its shortness, where training rows like that)"
    source: ClassVar[str] = "Singhal et al. 2023, arXiv 2310.03716"

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Sees which kind is longer."""
        sizes: dict[bool, list[int]] = {True: [], False: []}
        for row in records:
            sizes[bool(row.values["label"])].append(len(text(row)))
        liked, others = (sum(each) / max(1, len(each)) for each in (sizes[True], sizes[False]))
        way = 1 if liked >= others else -1

        def rewards(unseen: Sequence[Record]) -> list[dict[str, Any]]:
            return [{"reward": float(way * len(text(row)))} for row in unseen]

        return rewards
