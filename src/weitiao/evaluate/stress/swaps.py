"""Words swapped for others of their kind: he and she, names, origins; and neutral words, as many of them.

    "He is a great actor."  ->  swap("gender")   "She is a great actress."     2 words
                            ->  neutral, 2 words: "He was a great actor." has 1 only: nothing to compare with

Any edit turns some predictions round.  Only what a swap turns round beyond a neutral one of as many words says that the
model goes by the words that were swapped (as Garg et al. 2019, arXiv 1809.10610, but with a control).

Case is kept.  To swap twice gives the row back, or the row is ambiguous and left out: `her` is `his` before a word that
can follow it, and `him` elsewhere, but "gave him money" would come back as "gave his money".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources
from random import Random
from typing import Any

from weitiao.core.contracts import Record, Shape
from weitiao.data.augment.words import changeable, tagged

KINDS = ("gender", "names", "origin")
NEUTRAL = "neutral"
HERS = {"her": ("his", "him"), "his": ("her", "hers"), "him": ("her", "her"), "hers": ("his", "his")}
"""What stands for a word before a noun, and elsewhere."""
NEXT = re.compile(r"[ \t]+([A-Za-z]+)")


@dataclass(frozen=True)
class Place:
    """Where a word stands that can be swapped, and what for."""

    start: int
    end: int
    word: str


@dataclass(frozen=True)
class Swap:
    """The words of a kind, each with the one that stands for it."""

    words: Mapping[str, str]
    """English, in lower case."""
    names: Mapping[str, str]
    """English, only where they begin with a capital; in lower case."""
    chinese: Mapping[str, str]
    keep: frozenset[str]
    """Chinese words that are no such words."""
    apart: frozenset[str] = frozenset()
    """Words before which `her` is no possessive."""
    pronouns: bool = False
    """Are her, his, him and hers among them?"""

    def places(self, text: str) -> list[Place]:
        """Every word of the text that can be swapped, in order."""
        found = []
        for hit in self._pattern.finditer(text):
            word = hit.group()
            if word in self.keep:
                continue
            if word in self.chinese:
                found.append(Place(hit.start(), hit.end(), self.chinese[word]))
            elif other := self._other(word, text[hit.end() :]):
                found.append(Place(hit.start(), hit.end(), _cased(other, word)))
        return found

    def _other(self, word: str, behind: str) -> str:
        lower = word.lower()
        if self.pronouns and lower in HERS:
            following = NEXT.match(behind)
            noun = following is not None and following.group(1).lower() not in self.apart
            return HERS[lower][0 if noun else 1]
        if word[0].isupper() and lower in self.names:
            return self.names[lower]
        return self.words.get(lower, "")

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Any of the words; of Chinese ones the longest."""
        english = sorted(self.words.keys() | self.names.keys() | (HERS.keys() if self.pronouns else set()))
        chinese = sorted(self.chinese.keys() | self.keep, key=len, reverse=True)
        alone = [rf"(?<![A-Za-z])(?:{'|'.join(english)})(?![A-Za-z])"] if english else []
        return re.compile("|".join([*chinese, *alone]), re.IGNORECASE)


@cache
def swap(kind: str) -> Swap:
    """The words of a kind (`KINDS`, or `NEUTRAL`), in both directions."""
    import yaml

    text = resources.files(__package__).joinpath("swaps.yaml").read_text(encoding="utf-8")
    known = yaml.safe_load(text)
    lists, apart = known[kind], frozenset(known["apart"])
    words, names, chinese = (_both_ways(lists.get(part, {})) for part in ("en", "names", "zh"))
    return Swap(words, names, chinese, frozenset(lists.get("keep", ())), apart, pronouns=kind == "gender")


def _both_ways(pairs: Mapping[str, str]) -> dict[str, str]:
    # Names are written with capitals in the list, for whoever reads it.
    lower = {one.lower(): other.lower() for one, other in pairs.items()}
    return lower | {other: one for one, other in lower.items()}


def put(text: str, places: Sequence[Place]) -> str:
    """The text with other words at these places."""
    found, end = "", 0
    for place in places:
        found += text[end : place.start] + place.word
        end = place.end
    return found + text[end:]


@dataclass(frozen=True)
class Swapped:
    """A row with its words swapped."""

    record: Record | None
    """None where nothing was there to be swapped, or what was is ambiguous."""
    words: int
    """How many were there."""


def swapped(record: Record, shape: Shape, kind: Swap) -> Swapped:
    """The row with every word of the kind swapped."""
    texts, made, count = _texts(shape, record), {}, 0
    for address, text in texts.items():
        places = kind.places(text)
        count += len(places)
        made[address] = put(text, places)
        if put(made[address], kind.places(made[address])) != text:
            return Swapped(None, count)
    return Swapped(_with(record, shape, made) if count else None, count)


def answered(record: Record, shape: Shape, kind: Swap) -> bool:
    """Does what is not asked, such as the expected answer, hold words of the kind, too?"""
    asked = _texts(shape, record)
    others = (text for address, text in shape.texts(record.values).items() if address not in asked)
    return any(kind.places(text) for text in others)


def neutral(record: Record, shape: Shape, count: int, rng: Random) -> Record | None:
    """The row with so many neutral words swapped, drawn among those that it holds; None where it holds fewer."""
    texts, kind = _texts(shape, record), swap(NEUTRAL)
    all_ = [(address, place) for address, text in texts.items() for place in kind.places(text)]
    if len(all_) < count:
        return None
    drawn: dict[str, list[Place]] = {}
    for which in sorted(rng.sample(range(len(all_)), count)):
        address, place = all_[which]
        drawn.setdefault(address, []).append(place)
    return _with(record, shape, {address: put(texts[address], places) for address, places in drawn.items()})


def _texts(shape: Shape, record: Record) -> dict[str, str]:
    # A tagged word may be swapped: it keeps its tag.
    return shape.texts(record.values) if tagged(shape) else changeable(shape, record.values)


def _with(record: Record, shape: Shape, texts: Mapping[str, Any]) -> Record:
    return replace(record, values=shape.with_texts(record.values, texts))


def _cased(word: str, like: str) -> str:
    if len(like) > 1 and like.isupper():
        return word.upper()
    return word[0].upper() + word[1:] if like[0].isupper() else word
