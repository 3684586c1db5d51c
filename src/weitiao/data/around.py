"""The special tokens that a tokenizer puts around the texts of a row.

around(tokenizer)           ->  ((101,), (102,))              before a text, and behind it
around(tokenizer, texts=2)  ->  ((101,), (102,), (102,))      before the first of two, between them, behind the second
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from typing import Any, TypeAlias

from weitiao.data.plain import plain

Marks: TypeAlias = tuple[tuple[int, ...], ...]

PROBES = ("the", "a", "of", "in")


def around(processor: Any, *, texts: int = 1) -> Marks:
    """What stands before, between and behind so many texts; measured on short words, and kept: rows come one by one."""
    return _around(processor, len(processor), texts)


@lru_cache(maxsize=4)
def _around(processor: Any, words: int, texts: int) -> Marks:
    read = plain(processor)
    for probes in permutations(PROBES, texts):
        whole = list(read(*probes, verbose=False)["input_ids"])
        owns = [list(read(probe, add_special_tokens=False, verbose=False)["input_ids"]) for probe in probes]
        if all(owns) and (found := _between(whole, owns)):
            return found
    return ((),) * (texts + 1)


def _between(whole: list[int], owns: list[list[int]]) -> Marks:
    """What is left of a row without the tokens of its texts; nothing where they are not found in it."""
    marks, start = [], 0
    for own in owns:
        places = range(start, len(whole) - len(own) + 1)
        begin = next((place for place in places if whole[place : place + len(own)] == own), None)
        if begin is None:
            return ()
        marks.append(tuple(whole[start:begin]))
        start = begin + len(own)
    return (*marks, tuple(whole[start:]))
