"""Homophones: a Chinese character gives way to one that is typed by the same pinyin.

n = max(1, share * characters) characters that the dictionary lists, each replaced by one of the commonest homophones
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar

from pydantic import Field

from weitiao.core.contracts import Shape
from weitiao.core.registry import register
from weitiao.data.augment import Change, Changes, Helpers, Kind, Share
from weitiao.data.augment.dictionary import Lookup, Named, needs_dictionary
from weitiao.data.augment.words import by_pieces, is_han, some


@register("augmentation", "homophones")
@dataclass(frozen=True, kw_only=True)
class Homophones(Changes):
    """The slip of whoever types Chinese by sound: the wrong character of the right syllable, tones apart."""

    share: Share = 0.05
    """Slips, as a share of the Chinese characters; at least one."""
    choices: Annotated[int, Field(ge=1)] = 5
    """Among how many of the commonest homophones the wrong one is drawn."""
    dictionary: Named = "homophones"
    """`homophones`, or a file: a character, a tab, those that sound alike, the commonest first."""

    summary: ClassVar[str] = "Chinese characters replaced by ones that sound alike"
    source: ClassVar[str] = "Zhang et al. 2020, arXiv 2005.07421 (confusion by sound)"
    works_on: ClassVar[Kind] = "texts"

    def needs(self) -> tuple[str, ...]:
        """The dictionary, unless it is a file."""
        return needs_dictionary(self.dictionary)

    def ready(self, shape: Shape, helpers: Helpers) -> Change:
        """Everything that is not Chinese stays as it is."""
        lookup = Lookup(self.dictionary, helpers)

        def slip(pieces: list[str], rng: Random) -> list[str]:
            cells = [list(piece) for piece in pieces]
            han = [(p, i) for p, row in enumerate(cells) for i, char in enumerate(row) if is_han(char)]
            listed = [place for place, (p, i) in enumerate(han) if lookup.others(cells[p][i])]
            for place in some(listed, self.share, rng, of=len(han)):
                p, i = han[place]
                cells[p][i] = rng.choice(lookup.others(cells[p][i])[: self.choices])
            return ["".join(row) for row in cells]

        return by_pieces(slip, shape)
