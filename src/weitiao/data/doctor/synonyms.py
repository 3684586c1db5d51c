"""Labels that seem to be spellings of one another.

{"positive": 900, "postive": 3, "Negative": 4, "negative": 850}  ->  propose(counts)
    ->  {"postive": ("positive", "typo"), "Negative": ("negative", "spelling")}
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from weitiao.core.errors import mistakes
from weitiao.data.equal_text import normalised

RARE = 0.05  # a typo has at most this share of the rows of what was meant
MANY = 2_000  # labels beyond which they are not compared: such labels are texts
YES = "是 yes y true t 1 对 對 正确 正確 有 ja oui sí si"
NO = "否 no n false f 0 错 錯 错误 錯誤 不是 没有 無 nein non não"
POSITIVE = "positive pos 正面 正向 积极 積極 好评 好評 褒义 正"
NEGATIVE = "negative neg 负面 負面 负向 消极 消極 差评 差評 贬义 负 負"
NEUTRAL = "neutral neu 中性 中立 中评 一般"
MEANINGS = tuple(frozenset(words.split()) for words in (YES, NO, POSITIVE, NEGATIVE, NEUTRAL))


def propose(counts: Mapping[str, int]) -> dict[str, tuple[str, str]]:
    """Label -> (the more frequent label that it seems to mean, why: `spelling`, `typo` or `meaning`)."""
    if len(counts) > MANY:
        return {}
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    found: dict[str, tuple[str, str]] = {}
    for why, same in (("spelling", _by_spelling), ("meaning", _by_meaning)):
        first: dict[str, str] = {}
        keys = same(ranked)
        for label in ranked:
            if (key := keys.get(label)) and label not in found and first.setdefault(key, label) != label:
                found[label] = (first[key], why)
    for label in ranked:
        if label not in found and (meant := _meant(label, ranked, counts, found)):
            found[label] = (meant, "typo")
    return {label: (_end(label, found), why) for label, (_, why) in found.items()}


def _end(label: str, found: Mapping[str, tuple[str, str]]) -> str:
    # Each step goes to a more frequent label: chains end.
    while label in found:
        label = found[label][0]
    return label


def _by_spelling(labels: list[str]) -> dict[str, str]:
    # A sign before a number is no spelling: -1 is not 1.
    keys = {label: normalised(label) for label in labels}
    loose = str.maketrans("_-", "  ")
    return {
        label: key if any(map(str.isdigit, key)) else key.translate(loose).strip(" .。!！")
        for label, key in keys.items()
    }


def _by_meaning(labels: list[str]) -> dict[str, str]:
    words = {label: normalised(label) for label in labels}
    meaning = {
        label: next((i for i, words_ in enumerate(MEANINGS) if word in words_), -1)
        for label, word in words.items()
    }
    # 1 and 0 mean yes and no only where there is nothing else than yes and no: they may be stars.
    closed = set(meaning.values()) <= {0, 1}
    keys: dict[str, str] = defaultdict(str)
    for label, number in meaning.items():
        if number >= 0 and (closed or len(words[label]) > 1 or not words[label].isascii()):
            keys[label] = str(number)
    return keys


def _meant(label: str, ranked: list[str], counts: Mapping[str, int], found: Mapping[str, object]) -> str:
    word = normalised(label)
    if len(word) < 4 or any(char.isdigit() for char in word):
        return ""
    for other in ranked:
        near = normalised(other)
        if counts[label] > max(RARE * counts[other], 1) or counts[other] < 4:
            return ""
        # A first letter is seldom mistyped, and often is a prefix that means the opposite: typical, atypical.
        close = other not in found and near[:1] == word[0] and abs(len(near) - len(word)) <= 2
        if close and mistakes(word, near, most=2 if len(word) >= 8 else 1) is not None:
            return other
    return ""
