"""Texts as words, and which texts of a row may be changed at all.

    "The film, twice." -> Text(["The", "film", "twice"], gaps)  -- edit -->  Text with words put in, out or changed

An edit sees words and the places it is free to touch, and answers with a list of (old place or None, word).  The
gaps (spaces and punctuation) travel with the word before them; so do the tags of tagged words, where only words
tagged `O` are free and a new word is tagged `O`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, Literal, TypeAlias

from weitiao.core.contracts import Record, Shape
from weitiao.core.errors import need
from weitiao.data.augment import Change, Values

Segment: TypeAlias = Literal["jieba", "characters"]
Words: TypeAlias = list[tuple[int | None, str]]
Edit: TypeAlias = Callable[[list[str], list[int], Random], Words]
"""Words, free places, chance -> (old place, word), or (None, new word)."""
Rewrite: TypeAlias = Callable[[list[str], Random], list[str]]
"""Pieces of text -> as many pieces."""

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
# Vowel signs and accents that are written as characters of their own: `\w` leaves them out, and Hindi, Arabic or
# Thai words would fall apart at them.
MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8"
    "\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u0eb1-\u0ece\u1000-\u1049\u1780-\u17d3\u200c\u200d\u3099\u309a"
)
LETTER = rf"(?:[^\W{HAN}_]|[{MARKS}])"
RUN = re.compile(rf"[{HAN}]+|{LETTER}+(?:['\u2019-]{LETTER}+)*")
ANSWERS = ("completion", "chosen", "rejected")
OUTSIDE = "O"


def is_han(text: str) -> bool:
    """Does it begin with a Chinese character?"""
    return re.match(f"[{HAN}]", text) is not None


def changeable(shape: Shape, values: Mapping[str, Any]) -> dict[str, str]:
    """The texts that may be changed, by address: what is asked, never what is answered."""
    found = {}
    for address, text in shape.texts(shape.asks(values)).items():
        column, _, rest = address.partition(".")
        turn = values[column][int(rest.partition(".")[0])] if rest else None
        asked = not isinstance(turn, Mapping) or turn["role"] == "user"
        if asked and column not in ANSWERS:
            found[address] = text
    return found


def tagged(shape: Shape) -> bool:
    """Do rows of this shape carry a tag for each word?"""
    return {"tokens", "tags"} <= set(shape.columns)


@dataclass(frozen=True)
class Text:
    """A text in words; `gaps[0]` stands before the first word, `gaps[i + 1]` after word i."""

    words: list[str]
    gaps: list[str]

    @classmethod
    def cut(cls, text: str, *, segment: Segment) -> Text:
        """Runs of letters and digits, and Chinese words as `segment` finds them.

        Raises:
            WeitiaoError: `missing_extra` when Chinese is to be cut by jieba and jieba is not installed.
        """
        words, gaps, end = [], [""], 0
        for run in RUN.finditer(text):
            gaps[-1] += text[end : run.start()]
            pieces = _chinese(run.group(), segment) if is_han(run.group()) else [run.group()]
            words += pieces
            gaps += [""] * len(pieces)
            end = run.end()
        gaps[-1] += text[end:]
        return cls(words, gaps)

    def __str__(self) -> str:
        return self.gaps[0] + "".join(w + gap for w, gap in zip(self.words, self.gaps[1:], strict=True))

    def edited(self, words: Sequence[tuple[int | None, str]]) -> str:
        """The text with other words; a gap follows its word, a word that is gone leaves its punctuation."""
        out, last = self.gaps[0], -1
        for place, word in [*words, (len(self.words), "")]:
            if place is None:
                # After the word before it and ahead of that word's gap: "film, " + "long" -> "film long, ".
                gap = self.gaps[last + 1]
                out = out.removesuffix(gap) + ("" if is_han(word) else " ") + word + gap
                continue
            for gone in self.gaps[last + 2 : place + 1]:
                out = out if not gone.strip() else out.rstrip() + gone
            last = place
            out += word + (self.gaps[place + 1] if place < len(self.words) else "")
        return out if self.gaps[-1].strip() else out.rstrip() + self.gaps[-1]


def by_words(edit: Edit, shape: Shape, *, segment: Segment) -> Change:
    """What changes the words of a row by `edit`."""
    return _each(shape, lambda values, rng: _with_words(edit, shape, values, rng, segment=segment))


def by_pieces(rewrite: Rewrite, shape: Shape) -> Change:
    """What changes the characters of a row by `rewrite`: of each text, or of all words tagged `O` together."""

    def change(values: Mapping[str, Any], rng: Random) -> Values | None:
        if not tagged(shape):
            texts = changeable(shape, values)
            return shape.with_texts(values, {a: rewrite([text], rng)[0] for a, text in texts.items()})
        free = _free(values["tags"])
        pieces = rewrite([values["tokens"][i] for i in free], rng)
        # A word has its tag: it may be misspelt, but not go.
        return shape.with_texts(
            values, {f"tokens.{i}": piece for i, piece in zip(free, pieces, strict=True) if piece.strip()}
        )

    return _each(shape, change)


def _each(shape: Shape, change: Callable[[Mapping[str, Any], Random], Values | None]) -> Change:
    def every(records: Sequence[Record], rngs: Sequence[Random]) -> list[list[Values]]:
        made = [change(record.values, rng) for record, rng in zip(records, rngs, strict=True)]
        return [
            [values] if values is not None and values != record.values else []
            for record, values in zip(records, made, strict=True)
        ]

    return every


def _with_words(
    edit: Edit, shape: Shape, values: Mapping[str, Any], rng: Random, *, segment: Segment
) -> Values | None:
    if tagged(shape):
        tokens, tags = list(values["tokens"]), list(values["tags"])
        words = edit(tokens, _free(tags), rng)
        return {
            **values,
            "tokens": [word for _, word in words],
            "tags": [OUTSIDE if place is None else tags[place] for place, _ in words],
        }
    changed = {}
    for address, whole in changeable(shape, values).items():
        text = Text.cut(whole, segment=segment)
        if text.words:
            changed[address] = text.edited(edit(text.words, list(range(len(text.words))), rng))
    return shape.with_texts(values, changed)


def _free(tags: Iterable[str]) -> list[int]:
    return [i for i, tag in enumerate(tags) if tag == OUTSIDE]


def some(places: Sequence[int], share: float, rng: Random, *, of: int | None = None) -> list[int]:
    """Some of the places, in order: `share` of `of` (default: of the places), at least one where there is one."""
    count = max(1, round(share * (len(places) if of is None else of)))
    return sorted(rng.sample(places, min(count, len(places))))


def _chinese(run: str, segment: Segment) -> list[str]:
    return list(run) if segment == "characters" else list(_jieba().cut(run))


@cache
def _jieba() -> Any:
    jieba = need("jieba", extra="zh")
    jieba.setLogLevel("WARNING")  # it announces the loading of its dictionary on stderr
    return jieba.Tokenizer()
