"""An explanation as data: words with what each adds, what was explained, and what is to be said of it.

Explanation(...).to_dict()    for JSON
Explanation.from_dict(...)    the way back
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from weitiao.core.display import Sheet, Shown

SHOWN = 5
"""Words that a line names."""


@dataclass
class ExplainedWord:
    """A word of the text, and what the number owes to it."""

    column: str
    """The text that it stands in, by its address in the row."""
    text: str
    start: int
    """Where it begins in that text, in code points."""
    end: int
    """Behind its last."""
    share: float
    """By integrated gradients: what it adds to the number."""
    without: float
    """By how much the number falls when the word is masked."""


@dataclass
class Heat:
    """Where in a picture a number comes from, cell by cell of a grid, row by row from the top."""

    way: str
    """`grad_cam`, or `integrated_gradients` of the pixels."""
    layer: str
    """The module whose map it is; empty where pixels were asked."""
    shares: list[list[float]]
    """Of each cell: its heat, never below 0 (Grad-CAM), or what its pixels add to the number."""
    without: list[list[float]]
    """By how much the number falls when that cell alone has the baseline's colour."""
    without_most: float
    """By how much it falls when the quarter of the cells with the largest shares has that colour."""
    without_least: float
    """And when the quarter with the smallest shares has: a map that is right is far below the other."""
    part: list[float]
    """Which part of the upright picture the grid lies on (left, top, right, bottom, in shares): what the model reads of it."""


@dataclass
class ExplainedTarget:
    """One number, and the words that it hangs on."""

    name: str
    """A label, a span, words of an answer."""
    what: str
    """`logit`, `number`, `log_odds` or `log_probability`."""
    value: float
    """The number."""
    baseline: float
    """The number with every word masked."""
    words: list[ExplainedWord]
    """In the order of the text."""
    steps: int
    """Of the integral."""
    gap: float | None
    """How far the shares are from adding up to `value - baseline`, as a part of it; null where both are the same."""
    agreement: float | None
    """Rank correlation of `share` and `without`; null where it is not defined."""
    warnings: list[str] = field(default_factory=list)
    """What is to be kept in mind, in the language of the moment."""
    heat: Heat | None = None
    """Of a picture, which has no words."""

    def strongest(self, count: int = SHOWN) -> list[ExplainedWord]:
        """The words with the largest shares, of either sign, the largest first."""
        return sorted(self.words, key=lambda word: -abs(word.share))[:count]


@dataclass
class SimilarRow:
    """A training row that the model sees as alike."""

    text: str
    label: Any
    """None where the answer is no column of its own."""
    place: str
    """File and line."""
    similarity: float
    """Cosine of both rows' mean hidden states."""


@dataclass
class AttendedWord:
    """A word of the text, and how much attention it gets."""

    column: str
    """The text that it stands in, by its address in the row."""
    text: str
    start: int
    """Where it begins in that text, in code points."""
    end: int
    """Behind its last."""
    share: float
    """Of the attention that all words get."""


@dataclass
class Attention:
    """Where the model looks, as a picture: it is no reason for what it says."""

    words: list[AttendedWord]
    """In the order of the text; none where it is not defined."""
    note: str
    """The warning that goes with it, or why it is not defined here."""

    def strongest(self, count: int = SHOWN) -> list[AttendedWord]:
        """The words with the largest shares."""
        return sorted(self.words, key=lambda word: -word.share)[:count]


@dataclass(repr=False)
class Explanation(Shown):
    """Why a model says what it says of one row."""

    texts: dict[str, str]
    """What was read, by its address in the row."""
    prediction: dict[str, Any]
    """What is said of it."""
    targets: list[ExplainedTarget]
    """What was explained."""
    baseline: str
    """What stands in the place of a masked word."""
    precision: str
    """What it was computed in."""
    warnings: list[str] = field(default_factory=list)
    """What is to be said of the row: what was cut."""
    similar: list[SimilarRow] = field(default_factory=list)
    """Training rows that the model sees as alike, the most alike first; none where they were not asked for."""
    place: str = ""
    """File and line, of a row that comes from a file."""
    expected: str = ""
    """What the data say it is, of a row of theirs."""
    attention: Attention | None = None
    """Where the model looks; None where it was not asked for."""
    image: str = ""
    """Where the picture lies, of a row with one."""

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """What `to_dict` gave."""
        targets = [
            ExplainedTarget(
                **{
                    **one,
                    "words": [ExplainedWord(**word) for word in one["words"]],
                    "heat": Heat(**one["heat"]) if one.get("heat") else None,
                }
            )
            for one in told["targets"]
        ]
        similar = [SimilarRow(**row) for row in told["similar"]]
        seen = told.get("attention")
        attention = seen and Attention([AttendedWord(**word) for word in seen["words"]], seen["note"])
        return cls(**{**told, "targets": targets, "similar": similar, "attention": attention})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def sheet(self) -> Sheet:
        """The strongest words of each number."""
        rows = [
            [target.name, ", ".join(f"{word.text} {word.share:+.2f}" for word in target.strongest())]
            for target in self.targets
        ]
        return Sheet(" / ".join(self.texts.values()) or self.image, rows=rows)
