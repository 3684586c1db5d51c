"""Words of answers, and what runs of them say.

words("Paris, of course.")  ->  ["paris", "of", "course"]        words("巴黎的塔")  ->  ["巴", "黎", "的", "塔"]
grams(["a", "b", "a"], 2)   ->  Counter({("a", "b"): 1, ("b", "a"): 1})
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

Gram: TypeAlias = tuple[str, ...]

# Han, kana: written without spaces, so that a character is what a word is elsewhere.
UNSPACED = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(f"[{UNSPACED}]|[^\\W_{UNSPACED}]+")


def words(text: str) -> list[str]:
    """The words in lower case, Chinese and Japanese by characters; of a text without any (marks, emoji) its characters."""
    text = unicodedata.normalize("NFC", text).lower()
    return WORD.findall(text) or [char for char in text if not char.isspace()]


def grams(tokens: Sequence[str], n: int) -> Counter[Gram]:
    """How often each run of `n` tokens comes."""
    return Counter(zip(*(tokens[start:] for start in range(n)), strict=False))


def shared(ours: Counter[Gram], theirs: Counter[Gram]) -> int:
    """How many runs the two have in common, each as often as the one that has it less often."""
    return sum(min(count, theirs[gram]) for gram, count in ours.items())


def longest_common(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Length of the longest common subsequence, in one row of the usual table."""
    best = [0] * (len(theirs) + 1)
    for word in ours:
        corner = 0
        for place, other in enumerate(theirs, start=1):
            above = best[place]
            best[place] = corner + 1 if word == other else max(above, best[place - 1])
            corner = above
    return best[-1]


def f_measure(common: float, ours: int, theirs: int) -> float:
    """2 P R / (P + R); two texts without a word are alike."""
    if not ours and not theirs:
        return 1.0
    return 2 * common / (ours + theirs)
