"""The text as it came, or its beginning: what a translation or a summary must be better than.

{"source": "Good morning"}  ->  {"answer": "Good morning"}
{"source": "The library reads and writes tables of many kinds, and ..."}  ->  {"answer": "The library reads and writes"}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register

LONGER = 2.0
"""Sources more than so many times as long as their targets are summed up, and not said otherwise."""


@register("baseline", "copy_source")
@dataclass(frozen=True)
class CopySource(Baseline):
    """Names, numbers and words that both sides share make a copy score; of texts that are summed up it is the lead, which is
    hard to beat where they say first what they are about."""

    summary: ClassVar[str] = (
        "the source, word for word; of one to be summed up as much of its beginning as a target is long"
    )
    source: ClassVar[str] = "a copy; the lead of Nenkova 2005, AAAI, 1436-1441"

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """How long targets usually are, in characters, where sources are far longer."""
        import numpy as np

        read, written = (
            float(np.median([len(record.values[side]) for record in records] or [0]))
            for side in ("source", "target")
        )
        most = round(written) if read > LONGER * written else None
        return lambda unseen: [{"answer": _lead(record.values["source"], most)} for record in unseen]


def _lead(text: str, most: int | None) -> str:
    """Its first characters; no word is cut in two that begins among them."""
    if most is None or len(text) <= most:
        return text
    cut = text[:most]
    return cut if text[most].isspace() or " " not in cut else cut.rsplit(" ", 1)[0]
