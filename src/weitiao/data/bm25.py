"""BM25: how well passages suit what is asked, by their words alone.

    index = Index(passages)      index.scores(["reset password"])  ->  (1, M), sparse

sum over the words of the question of  idf(w) * f (k1 + 1) / (f + k1 (1 - b + b * length / mean length))
idf(w) = ln(1 + (M - n + 1/2) / (n + 1/2))                    Robertson & Zaragoza 2009, FnTIR 3, 333-389; Lucene's idf
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weitiao.data.tfidf import without_spaces

K1, B = 1.2, 0.75
"""How soon a word that comes again counts no more, and how far long passages are held against them (Lucene's)."""
WORDS: dict[str, Any] = {"token_pattern": r"(?u)\b\w+\b"}
CHARACTERS: dict[str, Any] = {"analyzer": "char", "ngram_range": (1, 2)}
"""Where texts are written without spaces: single characters and pairs of them."""


def ways(texts: Sequence[str]) -> dict[str, Any]:
    """How texts like these are cut into words."""
    return CHARACTERS if without_spaces(texts) else WORDS


class Index:
    """Passages that are searched by their words."""

    def __init__(self, passages: Sequence[str], words: dict[str, Any]):
        """Count words.

        Args:
            passages: the texts.
            words: what `ways` says of texts like them.
        """
        from sklearn.feature_extraction.text import CountVectorizer

        self.size = len(passages)
        self._counts = CountVectorizer(**words)
        try:
            self._weights_MV = weighted(self._counts.fit_transform(passages))
        except ValueError:  # not a word in any passage
            self._weights_MV = None

    def scores(self, asked: Sequence[str]) -> Any:
        """What each passage is worth to each question (N, M), sparse."""
        from scipy.sparse import csr_array

        if self._weights_MV is None:
            return csr_array((len(asked), self.size))
        return csr_array(self._counts.transform(asked) @ self._weights_MV.T)


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
