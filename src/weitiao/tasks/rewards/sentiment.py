"""How kind the words of an English answer are: ratings of words, summed and drawn between -1 and 1.

    s = sum over the words that were rated of their valence (-4 to 4), times -0.74 behind a negation
    s / sqrt(s^2 + 15)

This is the lexicon of VADER with its normalisation and its factor for negations, without its rules for capitals, marks,
degrees and "but" (Hutto & Gilbert 2014).
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from weitiao.core.contracts import Answered, Rate, Reward
from weitiao.core.registry import register

TURNED = -0.74
"""What a negation does to a word behind it: VADER's N_SCALAR."""
SPREAD = 15
"""VADER's alpha."""
BEHIND = 3
"""A negation reaches so many words ahead, as in VADER."""
NEGATION = re.compile(
    r"(?:no|not|nor|never|none|nobody|nothing|nowhere|neither|cannot|without|hardly|rarely|seldom|despite|\w+n't)"
)
WORD = re.compile(r"[a-z][a-z'’-]*[a-z]|[a-z]")


@register("reward", "sentiment")
@dataclass(frozen=True)
class Sentiment(Reward):
    """The answer is made of kind words."""

    summary: ClassVar[str] = "how kind its English words are, -1 to 1 (VADER's lexicon)"

    def ready(self) -> Rate:
        """The lexicon (the data set `word-valence`) is read when the first answer is rated, and fetched once."""
        valence: dict[str, float] = {}

        def rate(answers: Sequence[Answered]) -> list[float]:
            if not valence:
                valence.update(_lexicon())
            return [compound(one.answer, valence) for one in answers]

        return rate


def compound(text: str, valence: Mapping[str, float]) -> float:
    """-1 to 1; 0 where no word was rated."""
    words = WORD.findall(text.lower().replace("’", "'"))
    denied = [NEGATION.fullmatch(word) is not None for word in words]
    total = sum(
        valence.get(word, 0.0) * (TURNED if any(denied[max(0, place - BEHIND) : place]) else 1.0)
        for place, word in enumerate(words)
    )
    return total / math.sqrt(total * total + SPREAD)


def _lexicon() -> dict[str, float]:
    from weitiao.models.assets.catalog import dataset_path

    with dataset_path("word-valence").open(encoding="utf-8", newline="") as file:
        return {row["text"]: float(row["label"]) for row in csv.DictReader(file)}
