"""Of two answers the longer one: people often choose it, and so does a model that has learnt nothing else.

{"chosen": [assistant], "rejected": [assistant]}  ->  {"preferred": 1.0}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register


@register("baseline", "longer")
@dataclass(frozen=True)
class Longer(Baseline):
    """Whichever length more of the training rows prefer: the longer answer, or the shorter one."""

    summary: ClassVar[str] = "the longer answer (or the shorter one, where training rows prefer that)"
    source: ClassVar[str] = "Singhal et al. 2023, arXiv 2310.03716"

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Counts which length is preferred."""
        way = 1 if sum(map(_longer, records)) >= 0 else -1

        def preferred(unseen: Sequence[Record]) -> list[dict[str, Any]]:
            return [{"preferred": (way * _longer(record) + 1) / 2} for record in unseen]

        return preferred


def _longer(record: Record) -> int:
    """1 where chosen is longer, -1 where rejected is."""
    chosen, rejected = (_size(record.values[side]) for side in ("chosen", "rejected"))
    return (chosen > rejected) - (chosen < rejected)


def _size(turns: Sequence[Mapping[str, Any]]) -> int:
    return sum(len(turn.get("content") or "") for turn in turns)
