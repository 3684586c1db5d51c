"""Random deletion: every word goes with probability p.

each free word is left out with probability p; when all would go, a random one stays
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from weitiao.core.contracts import Shape
from weitiao.core.registry import register
from weitiao.data.augment import Change, Changes, Helpers, Kind, Share
from weitiao.data.augment.words import Segment, Words, by_words


@register("augmentation", "delete")
@dataclass(frozen=True, kw_only=True)
class Delete(Changes):
    """Words are left out, never all of them; of tagged words only those tagged `O`."""

    p: Share = 0.1
    """Probability that a word is left out."""
    segment: Segment = "jieba"
    """How Chinese is cut into words; `jieba` needs the extra `zh`."""

    summary: ClassVar[str] = "words left out"
    source: ClassVar[str] = "Wei & Zou 2019, arXiv 1901.11196"
    works_on: ClassVar[Kind] = "texts"

    def ready(self, shape: Shape, helpers: Helpers) -> Change:
        """A text of one word stays as it is."""

        def edit(words: list[str], free: list[int], rng: Random) -> Words:
            gone = {place for place in free if rng.random() < self.p}
            if len(gone) == len(words):
                gone.remove(rng.choice(sorted(gone)))
            return [(place, word) for place, word in enumerate(words) if place not in gone]

        return by_words(edit, shape, segment=self.segment)
