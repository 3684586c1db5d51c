"""Which tokens of an encoded row are which words of the user's own texts.

    spelt({"text": "Great film 👍🏽"}, [101, 2307, 2143, 100, 102], processor)
        ->  [Word("text", "Great", 0, 5, [1]), Word("text", "film", 6, 10, [2]), Word("text", "👍🏽", 11, 13, [3])]

A word is what stands between spaces and marks; a mark, a Chinese character, an emoji of several code points is one of its
own.  Words that share a token are one: what it does cannot be told apart.  Places count the text's code points.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cache
from typing import Any

from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.data.plain import plain

LETTERS = r"(?!\p{Han})[\w\p{M}\u200c\u200d]"
WORD = rf"{LETTERS}+(?:[.'’/-]{LETTERS}+)*|(?!\s)\X"


@dataclass
class Word:
    """A word of a text."""

    column: str
    """The text that it stands in, by its address in the row."""
    text: str
    """As it is written there."""
    start: int
    """Where it begins, in code points."""
    end: int
    """Behind its last."""
    tokens: list[int] = field(default_factory=list)
    """Places of its tokens in the row."""


def spelt(texts: Mapping[str, str], ids: Sequence[int], processor: Any) -> list[Word]:
    """The words of a row that have tokens, in order.

    Args:
        texts: by address, in the order in which they stand in the row.
        ids: all tokens of the row, special ones among them.
        processor: the tokenizer that encoded it.

    Raises:
        WeitiaoError: `not_followed` for a tokenizer that does not say where its tokens stand.
    """
    if not getattr(processor, "is_fast", False):
        raise fault("not_followed", why=reason("no_places"))
    found, cursor = [], 0
    for column, text in texts.items():
        at, offsets = _found(text, ids, processor, cursor=cursor)
        cursor = max([cursor, *(place + 1 for place in at)])
        found += _words(column, text, at, offsets)
    return found


def moved(words: Sequence[Word], texts: Mapping[str, str]) -> list[Word]:
    """The same words with their places in the one text that the row was cut from.

    Args:
        words: in order, of texts that are parts of it.
        texts: it, by its address.
    """
    ((column, text),) = texts.items()
    found, cursor = [], 0
    for word in words:
        start = text.find(word.text, cursor)
        if start >= 0:
            cursor = start + len(word.text)
            found.append(Word(column, word.text, start, cursor, word.tokens))
    return found


def _found(
    text: str, ids: Sequence[int], processor: Any, *, cursor: int
) -> tuple[list[int], list[tuple[int, int]]]:
    """Where the tokens of a text stand in a row, at or behind the cursor, and which part of the text each is."""
    exact: list[tuple[int, int, list[tuple[int, int]]]] = []
    best: tuple[list[int], list[tuple[int, int]]] = [], []
    # Behind something else many tokenizers read a text as if a space stood before it.
    for before in ("", " "):
        said = plain(processor)(
            before + text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        own = list(said["input_ids"])
        places = [(start - len(before), end - len(before)) for start, end in said["offset_mapping"]]
        start = _first(own, ids, cursor=cursor)
        if start is not None:
            exact.append((start, -len(own), places))
            continue
        # Its first or last token may have become one with what stands beside it, in a chat template.
        block = SequenceMatcher(None, own, ids[cursor:], autojunk=False).find_longest_match()
        if block.size > len(best[0]):
            begin = cursor + block.b
            best = list(range(begin, begin + block.size)), places[block.a : block.a + block.size]
    if exact:
        start, size, places = min(exact, key=lambda one: one[:2])
        return list(range(start, start - size)), places
    return best


def _first(own: Sequence[int], ids: Sequence[int], *, cursor: int) -> int | None:
    starts = range(cursor, len(ids) - len(own) + 1)
    return next((start for start in starts if list(ids[start : start + len(own)]) == list(own)), None)


def _words(column: str, text: str, at: Sequence[int], offsets: Sequence[tuple[int, int]]) -> list[Word]:
    spans = [match.span() for match in _pattern().finditer(text)]
    begins = [start for start, _ in spans]
    found: list[tuple[int, int, list[int]]] = []  # first and last span, tokens
    for place, (start, end) in zip(at, offsets, strict=True):
        while start < end and text[start : start + 1].isspace():
            start += 1
        first, last = bisect_right(begins, max(start, 0)) - 1, bisect_right(begins, end - 1) - 1
        if start >= end or first < 0 or start >= spans[first][1]:
            continue
        if found and first <= found[-1][1]:
            before = found.pop()
            first, last, tokens = before[0], max(last, before[1]), [*before[2], place]
        else:
            tokens = [place]
        found.append((first, last, tokens))
    return [
        Word(column, text[spans[first][0] : spans[last][1]], spans[first][0], spans[last][1], tokens)
        for first, last, tokens in found
    ]


@cache
def _pattern() -> Any:
    import regex  # comes with Transformers; knows what one character to a reader is

    return regex.compile(WORD)
