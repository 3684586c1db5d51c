"""TF-IDF and logistic regression on judged answers: which words people liked.

{"completion": [assistant], "label": true}  ->  weighted words (`data.tfidf`)  ->  {"reward": 0.8}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.data.tfidf import fitted


@register("baseline", "tfidf_liked")
@dataclass(frozen=True)
class TfidfLiked(Baseline):
    """Which words speak for an answer, whatever was asked; whole answers are read."""

    summary: ClassVar[str] = "weighted words of the answer and logistic regression"
    source: ClassVar[str] = (
        "sklearn.feature_extraction.text.TfidfVectorizer, sklearn.linear_model.LogisticRegression"
    )

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Weighs the words; with one kind of answers there is nothing to tell apart."""
        from sklearn.linear_model import LogisticRegression

        liked = [bool(row.values["label"]) for row in records]
        if len({*liked}) < 2:
            return lambda unseen: [{"reward": 0.0} for _ in unseen]
        features, rows = fitted([text(row) for row in records])
        model = LogisticRegression(C=10, max_iter=1000)
        model.fit(rows, liked)

        def answers(unseen: Sequence[Record]) -> list[dict[str, Any]]:
            found = model.decision_function(features.transform([text(row) for row in unseen]))
            return [{"reward": float(each)} for each in found]

        return answers


def text(row: Record) -> str:
    """What is answered in a row."""
    turns: Sequence[Mapping[str, Any]] = row.values["completion"]
    return "\n".join(turn.get("content") or "" for turn in turns)
