"""Answers as SQuAD compares them: exact match and F1 of their words, the best over all answers that are right.

    words("The Eiffel Tower!")              ->  ["eiffel", "tower"]     lower case, no punctuation, no English article
    words("埃菲尔铁塔。")                     ->  ["埃", "菲", "尔", "铁", "塔"]       Chinese and Japanese by characters
    f1("the Eiffel Tower", ["Eiffel", ""])  ->  0.667

Rajpurkar et al. 2016, arXiv 1606.05250; Cui et al. 2019 (CMRC), arXiv 1810.07366.  Where no answer is right, only none is.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

_UNSPACED = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CHARACTER = re.compile(f"([{_UNSPACED}])")
_ARTICLE = re.compile(r"\b(a|an|the)\b")
_NO_MARKS = {ord(mark): None for mark in string.punctuation}
# Beside Chinese characters its punctuation goes, too; in other texts SQuAD's rule alone holds.
_NO_CHINESE_MARKS = {ord(mark): None for mark in "，。、；：？！…—～·（）《》〈〉「」『』【】〔〕“”‘’﹔﹏．"}


def words(text: str) -> list[str]:
    """The words of an answer; empty where nothing but punctuation and articles stands in it."""
    text = text.lower().translate(_NO_MARKS)
    if _CHARACTER.search(text):
        text = _CHARACTER.sub(r" \1 ", text.translate(_NO_CHINESE_MARKS))
    return _ARTICLE.sub(" ", text).split()


def exact(said: str, right: Sequence[str]) -> float:
    """1 where it is one of the right answers, else 0.

    Args:
        said: an answer; empty for none.
        right: those that are right; empty where there is none.
    """
    own = words(said)
    return float(any(own == one for one in _known(right)))


def f1(said: str, right: Sequence[str]) -> float:
    """2 P R / (P + R) of the words in common, of the right answer that is nearest, 0 to 1; arguments as in `exact`."""
    own = words(said)
    return max(_f1(own, one) for one in _known(right))


def _known(right: Sequence[str]) -> list[list[str]]:
    # Answers without a word are none, as in SQuAD's own script.
    return [found for found in map(words, right) if found] or [[]]


def _f1(ours: Sequence[str], theirs: Sequence[str]) -> float:
    if not ours or not theirs:
        return float(not ours and not theirs)
    common = (Counter(ours) & Counter(theirs)).total()
    return 2 * common / (len(ours) + len(theirs))


def threshold(gaps: Sequence[float], answered: Sequence[float], unanswered: Sequence[float]) -> float:
    """From which gap on no answer is said, so that what rows are worth is most; of several the one nearest 0.

    Args:
        gaps: by how much the score of no answer is above the best answer's, one a row.
        answered: what each row is worth when it is answered.
        unanswered: what it is worth when it is not.
    """
    order = np.argsort(gaps, kind="stable")
    gap_N, gain_N = (
        np.asarray(gaps, dtype=float)[order],
        (np.asarray(answered) - np.asarray(unanswered))[order],
    )
    # Rows below a threshold are answered, those above it are not; between two equal gaps none can be drawn.
    worth = np.concatenate([[0.0], np.cumsum(gain_N)])
    low, high = np.concatenate([[-np.inf], gap_N]), np.concatenate([gap_N, [np.inf]])
    best = np.flatnonzero((low < high) & (worth >= worth.max(where=low < high, initial=-np.inf) - 1e-12))
    # As far from the rows on either side as can be; where 0 lies between the same rows, it is 0.
    ends = (
        np.where(np.isinf(high), low, np.maximum(low, high - 2.0)),
        np.where(np.isinf(low), high, np.minimum(high, low + 2.0)),
    )
    chosen = np.where((low < 0) & (high > 0), 0.0, (ends[0] + ends[1]) / 2)[best]
    return float(chosen[np.abs(chosen).argmin()])
