"""TF-IDF and ridge regression on the same training rows.

texts, numbers  ->  weighted words (`data.tfidf`)  ->  ridge regression  ->  one number a text
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.data.tfidf import fitted


@register("baseline", "ridge")
@dataclass(frozen=True)
class Ridge(Baseline):
    """How much each word adds to the number; whole texts are read, however long they are."""

    alpha: Annotated[float, Field(gt=0)] = 1.0
    """How much large coefficients cost."""

    summary: ClassVar[str] = "weighted words and ridge regression"
    source: ClassVar[str] = "sklearn.feature_extraction.text.TfidfVectorizer, sklearn.linear_model.Ridge"

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Weighs the words."""
        from sklearn.linear_model import Ridge as Linear

        features, rows = fitted([shape.group(row.values) for row in records])
        # Solved to the end: at the default tolerance numbers of a large spread are off.
        model = Linear(alpha=self.alpha, solver="sparse_cg", tol=1e-8)
        model.fit(rows, [row.values["label"] for row in records])

        def answers(unseen: Sequence[Record]) -> list[dict[str, float]]:
            found = model.predict(features.transform([shape.group(row.values) for row in unseen]))
            return [{"number": float(number)} for number in found]

        return answers
