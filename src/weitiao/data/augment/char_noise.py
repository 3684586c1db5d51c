"""Character noise: letters put in, left out, mistaken or transposed.

n = max(1, share * letters) edits of one character each, no two at neighbouring places
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from weitiao.core.contracts import Shape
from weitiao.core.registry import register
from weitiao.data.augment import Change, Changes, Helpers, Kind, Share
from weitiao.data.augment.words import by_pieces

Slip: TypeAlias = Literal["insert", "delete", "substitute", "transpose"]
Place: TypeAlias = tuple[int, int]
ALPHABETS = (string.ascii_lowercase, string.ascii_uppercase, string.digits)


@register("augmentation", "char_noise")
@dataclass(frozen=True, kw_only=True)
class CharNoise(Changes):
    """Single characters go wrong, as in careless typing or a bad scan; of tagged words only those tagged `O`."""

    share: Share = 0.05
    """Edits, as a share of the letters and digits; at least one."""
    kinds: Annotated[tuple[Slip, ...], Field(min_length=1)] = ("insert", "delete", "substitute", "transpose")
    """What may happen to a character; each is as likely as the others."""

    summary: ClassVar[str] = "characters put in, left out, mistaken or transposed"
    source: ClassVar[str] = "Belinkov & Bisk 2018, arXiv 1711.02173"
    works_on: ClassVar[Kind] = "texts"

    def ready(self, shape: Shape, helpers: Helpers) -> Change:
        """A letter is mistaken for another one of its alphabet, a Chinese character for another one of the text."""
        return by_pieces(self._noise, shape)

    def _noise(self, pieces: list[str], rng: Random) -> list[str]:
        cells = [list(piece) for piece in pieces]
        letters = [(p, i) for p, piece in enumerate(pieces) for i, c in enumerate(piece) if c.isalnum()]
        wanted = max(1, round(self.share * len(letters)))
        taken: set[Place] = set()
        for p, i in rng.sample(letters, len(letters)):
            if not wanted:
                break
            near = {(p, i - 1), (p, i), (p, i + 1), (p, i + 2)}
            if not taken & near and self._spoil(cells[p], pieces[p], i, rng):
                taken |= {(p, i), (p, i + 1)}
                wanted -= 1
        return ["".join(row) for row in cells]

    def _spoil(self, row: list[str], piece: str, i: int, rng: Random) -> bool:
        kind, char = rng.choice(self.kinds), piece[i]
        if kind == "transpose":
            if i + 1 == len(piece) or piece[i + 1] == char or not piece[i + 1].isalnum():
                return False
            row[i], row[i + 1] = row[i + 1], row[i]
        elif kind == "delete":
            if len(piece) == 1:
                return False
            row[i] = ""
        else:
            alphabet = next(
                (a for a in ALPHABETS if char in a), "".join(sorted(set(filter(str.isalnum, piece))))
            )
            others = [other for other in alphabet if other != char]
            if not others:
                return False
            row[i] = char + rng.choice(others) if kind == "insert" else rng.choice(others)
        return True
