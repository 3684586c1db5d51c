"""TF-IDF and logistic regression on the same pairs: which words speak for an answer.

{"chosen": [assistant], "rejected": [assistant]}  ->  words of chosen less words of rejected  ->  {"preferred": 1.0, "margin": 0.8}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.data.tfidf import fitted


@register("baseline", "tfidf_pair")
@dataclass(frozen=True)
class TfidfPair(Baseline):
    """A Bradley-Terry model of weighted words; whole answers are read, and no prompt, which is the same for both."""

    summary: ClassVar[str] = "weighted words of both answers and logistic regression on their difference"
    source: ClassVar[str] = (
        "sklearn.feature_extraction.text.TfidfVectorizer, sklearn.linear_model.LogisticRegression"
    )

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Weighs the words."""
        from scipy.sparse import vstack
        from sklearn.linear_model import LogisticRegression

        features, _ = fitted([_text(row, side) for side in ("chosen", "rejected") for row in records])

        def apart(rows: Sequence[Record]) -> Any:
            chosen, rejected = (
                features.transform([_text(row, side) for row in rows]) for side in ("chosen", "rejected")
            )
            return chosen - rejected

        known = apart(records)
        # Each pair both ways round, so that no side is preferred for where it stands.
        model = LogisticRegression(C=10, max_iter=1000, fit_intercept=False)
        model.fit(vstack([known, -known]), np.repeat([1, 0], len(records)))

        def answers(unseen: Sequence[Record]) -> list[dict[str, Any]]:
            margins = model.decision_function(apart(unseen)).tolist()
            return [{"preferred": float(np.sign(margin) + 1) / 2, "margin": margin} for margin in margins]

        return answers


def _text(row: Record, side: str) -> str:
    turns: Sequence[Mapping[str, Any]] = row.values[side]
    return "\n".join(turn.get("content") or "" for turn in turns)
