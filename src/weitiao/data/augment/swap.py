"""Random swap: two words change places, several times.

n = max(1, share * words) times: two random words change places; spaces and punctuation stay where they are
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from weitiao.core.contracts import Shape
from weitiao.core.registry import register
from weitiao.data.augment import Change, Changes, Helpers, Kind, Share
from weitiao.data.augment.words import Segment, Words, by_words


@register("augmentation", "swap")
@dataclass(frozen=True, kw_only=True)
class Swap(Changes):
    """Words change places; of tagged words only those tagged `O`."""

    share: Share = 0.1
    """Swaps, as a share of the words; at least one."""
    segment: Segment = "jieba"
    """How Chinese is cut into words; `jieba` needs the extra `zh`."""

    summary: ClassVar[str] = "words that change places"
    source: ClassVar[str] = "Wei & Zou 2019, arXiv 1901.11196"
    works_on: ClassVar[Kind] = "texts"

    def ready(self, shape: Shape, helpers: Helpers) -> Change:
        """Two words at least are needed."""

        def edit(words: list[str], free: list[int], rng: Random) -> Words:
            swapped = list(words)
            for _ in range(max(1, round(self.share * len(words))) if len(free) > 1 else 0):
                one, other = rng.sample(free, 2)
                swapped[one], swapped[other] = swapped[other], swapped[one]
            return list(enumerate(swapped))

        return by_words(edit, shape, segment=self.segment)
