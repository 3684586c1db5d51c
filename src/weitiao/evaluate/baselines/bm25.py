"""BM25: a search by words alone.

sum over the words of the question of  idf(w) * f (k1 + 1) / (f + k1 (1 - b + b * length / mean length))
idf(w) = ln(1 + (M - n + 1/2) / (n + 1/2))                    Robertson & Zaragoza 2009, FnTIR 3, 333-389; Lucene's idf
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.data.passages import gathered
from weitiao.data.tfidf import without_spaces

K1, B = 1.2, 0.75
"""How soon a word that comes again counts no more, and how far long passages are held against them (Lucene's)."""
BLOCK = 1 << 22
"""Scores that are in memory at once."""


@register("baseline", "bm25")
@dataclass(frozen=True)
class BM25(Baseline):
    """Which passages hold the rare words of the question; nothing is learnt from the training rows."""

    summary: ClassVar[str] = "search by the words that question and passage share"
    source: ClassVar[str] = "Robertson & Zaragoza 2009; rank_bm25, with Lucene's idf"

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Only whether texts are written without spaces: their words are single characters and pairs of them then."""
        from sklearn.feature_extraction.text import CountVectorizer

        spaced = not without_spaces(
            [text for row in records[:200] for text in shape.texts(row.values).values()]
        )
        words: dict[str, Any] = {"token_pattern": r"(?u)\b\w+\b"} if spaced else _CHARACTERS

        def answers(unseen: Sequence[Record]) -> list[dict[str, Any]]:
            rows = [(row.values["anchor"], row.values["positive"], *row.values["negative"]) for row in unseen]
            passages = gathered(rows)
            texts = [rows[row][1 + which] for row, which in passages.places]
            counts = CountVectorizer(**words)
            try:
                weights_MV = weighted(counts.fit_transform(texts))
            except ValueError:  # not a word in any passage
                weights_MV = None
            told: list[dict[str, Any]] = []
            step = max(1, BLOCK // len(texts))
            for start in range(0, len(rows), step):
                asked = [row[0] for row in rows[start : start + step]]
                scores_NM = (
                    np.zeros((len(asked), len(texts)))
                    if weights_MV is None
                    else (counts.transform(asked) @ weights_MV.T).toarray()
                )
                for n, ranks in enumerate(passages.ranks(scores_NM, start)):
                    found = passages.places[int(scores_NM[n].argmax())]
                    told.append({"ranks": ranks, "found": [*found]})
            return told

        return answers


_CHARACTERS: dict[str, Any] = {"analyzer": "char", "ngram_range": (1, 2)}


def weighted(counts_MV: Any) -> Any:
    """What each word of each passage is worth to a question that holds it, sparse (M, V).

    Args:
        counts_MV: how often each word stands in each passage, sparse.
    """
    counts_MV = counts_MV.tocsr().astype(float)
    passages = counts_MV.shape[0]
    holding_V = np.bincount(counts_MV.indices, minlength=counts_MV.shape[1])
    idf_V = np.log1p((passages - holding_V + 0.5) / (holding_V + 0.5))
    lengths_M = np.asarray(counts_MV.sum(1)).ravel()
    norm_M = K1 * (1 - B + B * lengths_M / max(lengths_M.mean(), 1e-12))
    rows = np.repeat(np.arange(passages), np.diff(counts_MV.indptr))
    counted = counts_MV.data
    counts_MV.data = idf_V[counts_MV.indices] * counted * (K1 + 1) / (counted + norm_M[rows])
    return counts_MV
