"""Random insertion: synonyms of some words are put in at random places.

n = max(1, share * words) times: a synonym of a random word that the dictionary lists, after a random word
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from weitiao.core.contracts import Shape
from weitiao.core.registry import register
from weitiao.data.augment import Change, Changes, Helpers, Kind, Share
from weitiao.data.augment.dictionary import Lookup, Named, needs_dictionary
from weitiao.data.augment.words import Segment, Words, by_words, tagged


@register("augmentation", "insert")
@dataclass(frozen=True, kw_only=True)
class Insert(Changes):
    """Synonyms of words in the text are put in elsewhere; among tagged words, beside words tagged `O` and as `O`."""

    share: Share = 0.1
    """Words put in, as a share of the words; at least one."""
    dictionary: Named = "auto"
    """`wordnet`, `cilin`, or a file: a word, a tab, its synonyms; `auto` takes the embedded one of the word's script."""
    segment: Segment = "jieba"
    """How Chinese is cut into words; `jieba` needs the extra `zh`."""

    summary: ClassVar[str] = "synonyms put in at random places"
    source: ClassVar[str] = "Wei & Zou 2019, arXiv 1901.11196"
    works_on: ClassVar[Kind] = "texts"

    def needs(self) -> tuple[str, ...]:
        """The dictionary, unless it is a file."""
        return needs_dictionary(self.dictionary)

    def ready(self, shape: Shape, helpers: Helpers) -> Change:
        """A new word stands behind a free word, so that it never parts the words of an entity."""
        lookup = Lookup(self.dictionary, helpers, single=tagged(shape))

        def edit(words: list[str], free: list[int], rng: Random) -> Words:
            listed = [place for place in free if lookup.others(words[place])]
            put: dict[int, list[str]] = {}
            for _ in range(max(1, round(self.share * len(words))) if listed else 0):
                # In lower case it is looked up as a word in the middle of a sentence.
                synonym = rng.choice(lookup.others(words[rng.choice(listed)].lower()))
                put.setdefault(rng.choice(free), []).append(synonym)
            edited: Words = []
            for place, word in enumerate(words):
                edited.append((place, word))
                edited += [(None, new) for new in put.get(place, ())]
            return edited

        return by_words(edit, shape, segment=self.segment)
