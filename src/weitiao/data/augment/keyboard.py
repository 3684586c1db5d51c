"""Keyboard typos: a letter or digit gives way to one beside it on a QWERTY keyboard.

n = max(1, share * letters) letters, each replaced by a key that touches its own
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from weitiao.core.contracts import Shape
from weitiao.core.registry import register
from weitiao.data.augment import Change, Changes, Helpers, Kind, Share
from weitiao.data.augment.words import by_pieces, some

# Each row begins a little further right than the one above; in key widths, as on most keyboards.
ROWS = ((0.0, "1234567890"), (0.5, "qwertyuiop"), (0.75, "asdfghjkl"), (1.25, "zxcvbnm"))


def _neighbours() -> dict[str, str]:
    keys = {key: (left + i, row) for row, (left, text) in enumerate(ROWS) for i, key in enumerate(text)}

    def touch(one: str, other: str) -> bool:
        (x, y), (u, v) = keys[one], keys[other]
        beside = abs(x - u) == 1 if y == v else abs(y - v) == 1 and abs(x - u) < 1
        return beside and one.isdigit() == other.isdigit()

    return {key: "".join(other for other in keys if touch(key, other)) for key in keys}


NEIGHBOURS = _neighbours()


@register("augmentation", "keyboard")
@dataclass(frozen=True, kw_only=True)
class Keyboard(Changes):
    """Fingers that land one key off; Chinese characters are left as they are (see `homophones`)."""

    share: Share = 0.05
    """Typos, as a share of the letters a-z and the digits; at least one."""

    summary: ClassVar[str] = "letters replaced by their neighbours on the keyboard"
    source: ClassVar[str] = "Belinkov & Bisk 2018, arXiv 1711.02173"
    works_on: ClassVar[Kind] = "texts"

    def ready(self, shape: Shape, helpers: Helpers) -> Change:
        """Digits become digits and letters letters, a capital stays one."""
        return by_pieces(self._mistype, shape)

    def _mistype(self, pieces: list[str], rng: Random) -> list[str]:
        cells = [list(piece) for piece in pieces]
        keys = [
            (p, i) for p, piece in enumerate(pieces) for i, c in enumerate(piece) if c.lower() in NEIGHBOURS
        ]
        for place in some(range(len(keys)), self.share, rng):
            p, i = keys[place]
            typed = rng.choice(NEIGHBOURS[cells[p][i].lower()])
            cells[p][i] = typed.upper() if cells[p][i].isupper() else typed
        return ["".join(row) for row in cells]
