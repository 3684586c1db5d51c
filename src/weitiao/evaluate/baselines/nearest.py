"""The answer of the training row whose prompt is most like the one that is asked.

prompts  ->  weighted words (`data.tfidf`)  ->  the nearest by their cosine  ->  its answer, word for word
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.data.tfidf import fitted

BLOCK = 1 << 22
"""Likenesses that are in memory at once."""


@register("baseline", "nearest")
@dataclass(frozen=True)
class Nearest(Baseline):
    """What was answered to the most similar question; a model that is no better has learnt to look it up."""

    summary: ClassVar[str] = "the answer to the most similar training prompt"
    source: ClassVar[str] = "sklearn.feature_extraction.text.TfidfVectorizer, cosine"

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Weighs the words of the prompts; of rows that are as near the first answers."""
        import numpy as np

        prompts, answers = zip(*map(_parted, records), strict=True)
        features, known_NF = fitted(prompts)
        step = max(1, BLOCK // len(prompts))

        def nearest(unseen: Sequence[Record]) -> list[dict[str, str]]:
            asked_MF = features.transform([_parted(record)[0] for record in unseen])
            found: list[int] = []
            for start in range(0, len(unseen), step):
                like_MN = (asked_MF[start : start + step] @ known_NF.T).toarray()
                found += np.argmax(like_MN, axis=1).tolist()
            return [{"answer": answers[row]} for row in found]

        return nearest


def _parted(record: Record) -> tuple[str, str]:
    """What is asked (turn by turn, or the source) and the last answer."""
    if "source" in record.values:
        return record.values["source"], record.values["target"]
    turns = record.values["messages"]
    last = max(place for place, turn in enumerate(turns) if turn["role"] == "assistant")
    return "\n".join(turn.get("content") or "" for turn in turns[:last]), turns[last].get("content") or ""
