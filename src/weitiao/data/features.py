"""Texts as weighted words: the features of the classical baseline and of the doctor.

texts  ->  vectorizer(texts)  ->  a TfidfVectorizer, not yet fitted
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

CHINESE = range(0x3400, 0xA000)  # CJK Unified Ideographs and Extension A


def vectorizer(texts: Sequence[str]) -> Any:
    """Words and word pairs as features, or one to three characters of unspaced text.

    Settings are the strongest of those tried on the film reviews (`notes/LOG.md`), chosen in the baseline's favour.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    features: dict[str, Any] = (
        {"analyzer": "char", "ngram_range": (1, 3)} if without_spaces(texts) else {"ngram_range": (1, 2)}
    )
    # A feature that occurs once says nothing about other rows; in a small table there are few others.
    return TfidfVectorizer(min_df=2 if len(texts) >= 1000 else 1, sublinear_tf=True, **features)


def without_spaces(texts: Sequence[str]) -> bool:
    """Is a third or more of a sample of the characters Chinese?"""
    sample = "".join(texts[:: max(1, len(texts) // 200)])
    return sum(ord(char) in CHINESE for char in sample) * 3 > len(sample)
