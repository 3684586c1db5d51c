"""How alike two texts are by the words that they share.

texts of the training rows  ->  weighted words (`data.tfidf`)  ->  the cosine of both texts' words
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.data.tfidf import fitted


@register("baseline", "shared_words")
@dataclass(frozen=True)
class SharedWords(Baseline):
    """The cosine of weighted words; a model that orders pairs no better looks at words alone."""

    summary: ClassVar[str] = "cosine of the weighted words of both texts"
    source: ClassVar[str] = "sklearn.feature_extraction.text.TfidfVectorizer, cosine"

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Weighs the words of all texts."""
        features, _ = fitted([text for row in records for text in shape.texts(row.values).values()])

        def answers(unseen: Sequence[Record]) -> list[dict[str, float]]:
            both = [list(shape.texts(row.values).values()) for row in unseen]
            one_NF, other_NF = (features.transform([texts[side] for texts in both]) for side in (0, 1))
            cosines_N = np.asarray(one_NF.multiply(other_NF).sum(1)).ravel()
            return [{"number": float(cosine)} for cosine in cosines_N]

        return answers
