"""A text as words with their places, cut as the words that were learnt were cut.

    places("Ada, 1815 👩🏽‍🚀", "punctuation")  ->  [(0, 3), (3, 4), (5, 9), (10, 14)]
    how_cut(rows of words)                  ->  "punctuation"
    joined(["Ada", ","], "punctuation")     ->  "Ada ,", [(0, 3), (4, 5)]

Places count characters (code points) of the text as it was given; white space, line ends among it, belongs to no word.
What is one character to a reader stays one: an accent written apart, a flag, an emoji of several.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, Literal, TypeAlias

How: TypeAlias = Literal["whitespace", "punctuation", "characters"]
Place: TypeAlias = tuple[int, int]

LETTERS = r"[\w\p{M}\u200c\u200d]"
PATTERNS: dict[str, str] = {
    "whitespace": r"\S+",
    # Addresses; words with what joins their parts, and names as people write them online; one mark several times.
    "punctuation": rf"(?:https?://|www\.)\S*[^\s\p{{P}}]/?|[@#]?{LETTERS}+(?:[.'’/-]{LETTERS}+)*"
    r"|(\p{P})\1+|(?!\s)\X",
    "characters": r"(?!\s)\X",
}
ENOUGH = 0.95
"""Share of the words that a way of cutting must give back, to count as the one that they were cut by."""
SAMPLE = 2000  # rows that are looked at


def places(text: str, how: How) -> list[Place]:
    """Where the words of a text begin and end."""
    return [found.span() for found in _pattern(how).finditer(text)]


@cache
def _pattern(how: str) -> Any:
    import regex  # comes with Transformers; knows what one character to a reader is

    return regex.compile(PATTERNS[how])


def joined(words: Sequence[str], how: How) -> tuple[str, list[Place]]:
    """Words as one text, and where each stands in it; characters stand side by side."""
    between = 0 if how == "characters" else 1
    found, end = [], -between
    for word in words:
        start = end + between
        end = start + len(word)
        found.append((start, end))
    return (" " * between).join(words), found


def how_cut(rows: Iterable[Sequence[str]]) -> How:
    """The finest way of cutting that gives these words back from their own text."""
    sample = [list(words) for words in islice(rows, SAMPLE)]
    finest: tuple[How, ...] = ("characters", "punctuation")
    return next((how for how in finest if _gives_back(sample, how) >= ENOUGH), "whitespace")


def _gives_back(rows: Sequence[Sequence[str]], how: How) -> float:
    right = total = 0
    for words in rows:
        text, wanted = joined(words, how)
        right += len({*wanted} & {*places(text, how)})
        total += len(wanted)
    return right / total if total else 0.0


def in_text(span: Mapping[str, Any], text: str, places: Sequence[Place]) -> dict[str, Any]:
    """A span of words as one of characters, with its text."""
    start, end = places[span["start"]][0], places[span["end"] - 1][1]
    return {**span, "start": start, "end": end, "text": text[start:end]}
