"""TF-IDF and logistic regression on the same training rows.

texts, labels  ->  weighted words (`data.tfidf`)  ->  logistic regression  ->  one label a text
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.data.tfidf import fitted


@register("baseline", "tfidf")
@dataclass(frozen=True)
class Tfidf(Baseline):
    """Which words speak for which label; whole texts are read, however long they are."""

    summary: ClassVar[str] = "weighted words and logistic regression"
    source: ClassVar[str] = (
        "sklearn.feature_extraction.text.TfidfVectorizer, sklearn.linear_model.LogisticRegression"
    )

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Weighs the words; with a single label there is nothing to tell apart."""
        from sklearn.linear_model import LogisticRegression

        texts, labels = zip(*((shape.group(row.values), row.values["label"]) for row in records), strict=True)
        if len(set(labels)) == 1:
            return lambda unseen: [{"label": labels[0]} for _ in unseen]
        features, rows = fitted(texts)
        model = LogisticRegression(C=10, max_iter=1000)
        model.fit(rows, labels)

        def answers(unseen: Sequence[Record]) -> list[dict[str, str]]:
            found = model.predict(features.transform([shape.group(row.values) for row in unseen]))
            return [{"label": str(label)} for label in found]

        return answers
