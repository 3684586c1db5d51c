"""Tags of words and the spans that they spell, in every way of writing them that is in use.

    ["B-PER", "I-PER", "O", "U-LOC"]  ->  spans(tags, "bilou")  ->  [Span(0, 2, "PER"), Span(3, 4, "LOC")]
    scheme(rows of tags)              ->  "bilou"
    repaired(tags, "bilou")           ->  the tags that spell these spans without a fault

| scheme  | a span of one word | of three        | outside | known from                                  |
| ------- | ------------------ | --------------- | ------- | ------------------------------------------- |
| `bio`   | B                  | B I I           | O       | CoNLL-2002, most files today                |
| `iob1`  | I (B behind a like) | I I I          | O       | Ramshaw & Marcus 1995, CoNLL-2003           |
| `io`    | I                  | I I I           | O       | Stanford NER                                |
| `bioes` | S                  | B I E           | O       | also IOBES                                  |
| `bilou` | U                  | B I L           | O       | Ratinov & Roth 2009                         |
| `bmes`  | S                  | B M E           | O       | Chinese files                               |
| `types` | PER                | PER PER PER     | O       | the type alone: like neighbours are one span |
| `words` | NOUN               | (three of one)  | none    | parts of speech: each word by itself        |

What a faulty row means is read as conlleval and seqeval (at its defaults) read it: a span goes on where an inside or an
end of its type follows its begin or inside, and begins wherever it does not go on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

OUTSIDE = "O"
PREFIXED = re.compile(r"([BIOEMLSUW])[-_](.+)", re.DOTALL)
ROLES = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
"""Letter -> what it means: a begin, an inside, an end, a span of one word."""

Scheme: TypeAlias = Literal["bio", "iob1", "io", "bioes", "bilou", "bmes", "types", "words"]
LETTERS: dict[str, dict[str, str]] = {
    "bio": {"B": "B", "I": "I"},
    "iob1": {"B": "B", "I": "I"},
    "io": {"I": "I"},
    "bioes": {"B": "B", "I": "I", "E": "E", "S": "S"},
    "bilou": {"B": "B", "I": "I", "E": "L", "S": "U"},
    "bmes": {"B": "B", "I": "M", "E": "E", "S": "S"},
}
"""Scheme -> role -> how it is written."""


class Span(NamedTuple):
    """Words `start` up to, and without, `end` are of one type."""

    start: int
    end: int
    type: str


def scheme(rows: Iterable[Sequence[str]]) -> Scheme | None:
    """How these rows are tagged; None where they hold no tag but `O`.

    Most tags decide whether types stand alone or behind a letter; which letters there are says the rest.
    """
    letters: Counter[str] = Counter()
    alone = outside = loose = apart = 0
    for tags in rows:
        before = ("", "")
        for tag in tags:
            letter, kind = _parts(tag)
            outside += tag == OUTSIDE
            alone += not letter and tag != OUTSIDE
            letters[letter] += 1
            follows = before[0] in ("B", "I") and before[1] == kind
            loose += letter == "I" and not follows
            apart += letter == "B" and not follows
            before = (letter, kind)
    behind = sum(letters[letter] for letter in ROLES)
    if not alone and not behind:
        return None
    if alone >= behind:
        return "types" if outside else "words"
    if letters["L"] or letters["U"]:
        return "bilou"
    if letters["M"] or letters["W"]:
        return "bmes"
    if letters["E"] or letters["S"]:
        return "bioes"
    if not letters["B"]:
        return "io"
    # Where a B stands only to part a span from its like, and others begin with I, the file is written in IOB1.
    return "iob1" if loose and not apart else "bio"


def _parts(tag: str) -> tuple[str, str]:
    """The letter of a tag and its type; ("", tag) when it has none."""
    found = PREFIXED.fullmatch(tag)
    return (found[1], found[2]) if found else ("", tag)


def _meaning(tag: str) -> tuple[str, str]:
    """The same for tags that differ in spelling alone: B_PER, U-LOC in a file of S-LOC."""
    letter, kind = _parts(tag)
    return ROLES.get(letter, ""), kind


def foreign(tags: Sequence[str], scheme: Scheme) -> str:
    """The first tag that is none of this scheme, since it has a letter too few; empty when all are."""
    if scheme in ("types", "words"):
        return ""
    return next((tag for tag in tags if tag != OUTSIDE and _parts(tag)[0] not in ROLES), "")


def spans(tags: Sequence[str], scheme: Scheme) -> list[Span]:
    """The spans of a row, in order."""
    if scheme == "words":
        return [Span(place, place + 1, tag) for place, tag in enumerate(tags) if tag != OUTSIDE]
    found: list[Span] = []
    open_role = ""  # of the word before, while its span may go on
    for place, tag in enumerate(tags):
        if tag == OUTSIDE:
            open_role = ""
            continue
        letter, kind = ("I", tag) if scheme == "types" else _parts(tag)
        role = ROLES.get(letter, "I")
        if open_role in ("B", "I") and role in ("I", "E") and found[-1].type == kind:
            found[-1] = found[-1]._replace(end=place + 1)
        else:
            found.append(Span(place, place + 1, kind))
        open_role = role
    return found


def written(found: Iterable[Span], words: int, scheme: Scheme) -> list[str]:
    """The tags of a row of so many words that spell these spans; of `iob1` in `bio`, in which nothing depends on what
    stands before."""
    tags = [OUTSIDE] * words
    for span in found:
        size = span.end - span.start
        for place in range(size):
            tags[span.start + place] = _tag(_role(place, size), span.type, scheme)
    return tags


def _role(place: int, size: int) -> str:
    if size == 1:
        return "S"
    return "B" if place == 0 else "E" if place == size - 1 else "I"


def _tag(role: str, kind: str, scheme: Scheme) -> str:
    if scheme in ("types", "words"):
        return kind
    letters = LETTERS[scheme]
    # Without a letter of its own a lone word begins, and an end is an inside; in IO everything is an inside.
    letter = letters.get(role) or letters.get({"S": "B", "E": "I"}.get(role, "I"), letters["I"])
    return f"{letter}-{kind}"


def repaired(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """The tags as they would be written for the spans that they spell; the same where there is no fault."""
    return written(spans(tags, scheme), len(tags), scheme)


def faults(tags: Sequence[str], scheme: Scheme) -> Iterator[tuple[int, str, str]]:
    """Where a row is not written as its spans would be: place, tag, and what it is read as.  In `iob1` no row has one."""
    if scheme == "iob1":
        return
    for place, (tag, meant) in enumerate(zip(tags, repaired(tags, scheme), strict=True)):
        if _meaning(tag) != _meaning(meant):
            yield place, tag, meant


def broken(before: str, tag: str, scheme: Scheme) -> set[str]:
    """The types of which a span goes on without a begin, or stops without its end, where the second of these tags stands
    behind the first.  `O` is also what stands before a row and behind it; `iob1` is taken as `bio`, in which it is learnt.
    """
    letters = LETTERS.get(scheme, {})
    (role, kind), (next_role, next_kind) = _meaning(before), _meaning(tag)
    within, going_on = role in ("B", "I"), next_role in ("I", "E")
    if "B" not in letters or (within and going_on and kind == next_kind):
        return set()
    stopped = within and "E" in letters
    return {kind for kind, wrong in ((next_kind, going_on), (kind, stopped)) if wrong}


def tag_set(types: Iterable[str], scheme: Scheme) -> list[str]:
    """Every tag that can be written of these types: `O` first, then type by type."""
    kinds = sorted(set(types))
    if scheme in ("types", "words"):
        return [OUTSIDE, *kinds] if scheme == "types" else kinds
    return [OUTSIDE, *(f"{letter}-{kind}" for kind in kinds for letter in LETTERS[scheme].values())]
