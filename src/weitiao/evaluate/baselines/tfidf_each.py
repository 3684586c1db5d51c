"""TF-IDF and a logistic regression for each label, on the same training rows.

texts, sets of labels  ->  weighted words (`data.tfidf`)  ->  one regression a label  ->  labels and their probabilities
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.data.tfidf import fitted


@register("baseline", "tfidf_each")
@dataclass(frozen=True)
class TfidfEach(Baseline):
    """Which words speak for each label, rows that do not carry it against it; whole texts are read."""

    summary: ClassVar[str] = "weighted words and a logistic regression for each label"
    source: ClassVar[str] = (
        "sklearn.multiclass.OneVsRestClassifier of sklearn.linear_model.LogisticRegression"
    )

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Weighs the words; of a label that all rows carry, or none, there is nothing to tell."""
        from sklearn.linear_model import LogisticRegression

        features, rows = fitted([shape.group(row.values) for row in records])
        sets = [set(row.values["label"]) for row in records]
        labels = sorted(set().union(*sets))
        # Rare labels would drown among rows without them: both sides count alike.
        models = {label: LogisticRegression(C=10, max_iter=1000, class_weight="balanced") for label in labels}
        always = {label for label in labels if all(label in each for each in sets)}
        for label in set(labels) - always:
            models[label].fit(rows, [label in each for each in sets])

        def answers(unseen: Sequence[Record]) -> list[dict[str, Any]]:
            found = features.transform([shape.group(row.values) for row in unseen])
            shares = {
                label: [1.0] * len(unseen) if label in always else models[label].predict_proba(found)[:, 1]
                for label in labels
            }
            return [
                {"labels": [label for label in labels if shares[label][place] >= 0.5]}
                for place in range(len(unseen))
            ]

        return answers
