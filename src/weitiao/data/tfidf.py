"""Texts as weighted words: the features of the classical baseline and of the doctor.

texts  ->  fitted(texts)  ->  (TfidfVectorizer, rows by features), whatever the texts are made of
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

CHINESE = range(0x3400, 0xA000)  # CJK Unified Ideographs and Extension A
WORD = re.compile(r"(?u)\b\w\w+\b")  # what scikit-learn counts as a word: two letters or digits, or more


def fitted(texts: Sequence[str]) -> tuple[Any, Any]:
    """Words and word pairs as features; one to three characters where texts have no spaces, or hardly a word (emoji,
    single letters, punctuation), or no word in common.

    Settings are the strongest of those tried on the film reviews (`notes/LOG.md`), chosen in the baseline's favour.

    Returns:
        The fitted vectorizer, and what it makes of `texts`.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    # A feature that occurs once says nothing about other rows; in a small table there are few others.
    several = 2 if len(texts) >= 1000 else 1
    words: dict[str, Any] = {"ngram_range": (1, 2), "min_df": several}
    characters: dict[str, Any] = {"analyzer": "char", "ngram_range": (1, 3), "min_df": several}
    ways = [characters, {**characters, "min_df": 1}]
    for way in ways if without_spaces(texts) or without_words(texts) else [words, *ways]:
        features = TfidfVectorizer(sublinear_tf=True, **way)
        try:
            return features, features.fit_transform(texts)
        except ValueError:  # no feature at all, or none that two texts share
            if way is ways[-1]:
                raise
    raise AssertionError("the last way returns or raises")


def without_spaces(texts: Sequence[str]) -> bool:
    """Is a third or more of a sample of the characters Chinese?"""
    sample = "".join(_some(texts))
    return sum(ord(char) in CHINESE for char in sample) * 3 > len(sample)


def without_words(texts: Sequence[str]) -> bool:
    """Do words make less than a third of a sample of the characters?"""
    sample = _some(texts)
    words = sum(len(word) for text in sample for word in WORD.findall(text))
    return words * 3 < sum(len(char) for text in sample for char in text.split())


def _some(texts: Sequence[str]) -> Sequence[str]:
    return texts[:: max(1, len(texts) // 200)]
