"""The text as it came: what a translation or a summary must be better than.

{"source": "Good morning"}  ->  {"answer": "Good morning"}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register


@register("baseline", "copy_source")
@dataclass(frozen=True)
class CopySource(Baseline):
    """Names, numbers and words that both sides share make a copy score; of summaries it is the longest there is."""

    summary: ClassVar[str] = "the source, word for word"
    source: ClassVar[str] = "a copy"

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Nothing is learnt."""
        return lambda unseen: [{"answer": record.values["source"]} for record in unseen]
