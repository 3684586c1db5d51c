"""What is asked of generation, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from weitiao.models.decoding.grammar import Grammar

Ending: TypeAlias = Literal["end", "length", "full"]
"""An end token; `max_new_tokens`; the model has no positions left (or never had any for the answer)."""


@dataclass(frozen=True)
class Decoding:
    """How answers are made; greedy unless `sample`."""

    max_new_tokens: int
    """Longest answer."""
    stops: frozenset[int]
    """Tokens at which an answer ends."""
    limit: int
    """Longest row in tokens, prompt and answer, that the model has positions for."""
    padding: int = 0
    """What short rows are filled up with."""
    rows: int = 16
    """Rows that share a pass, at most."""
    tokens: int = 4096
    """Tokens that are kept at once, filled up to the longest row, at most; a single longer row is kept alone."""
    sample: bool = False
    """Draw words instead of taking the likeliest."""
    temperature: float = 0.7
    """With `sample`: what scores are divided by."""
    top_k: int | None = 50
    """With `sample`: so many of the likeliest words take part; None or 0: all."""
    top_p: float | None = None
    """With `sample`: of these the likeliest that together have this probability take part; None or 1: all."""
    seed: int | None = None
    """With `sample`: what is drawn depends on it and on a row's number alone; None: others each time."""
    grammar: Grammar | None = None
    """The form that an answer has; None: any."""

    def room(self, prompt: int) -> int:
        """Tokens that the answer to a prompt of so many tokens may have."""
        return max(0, min(self.max_new_tokens, self.limit - prompt))


@dataclass
class Answer:
    """What a model says after a prompt."""

    ids: list[int] = field(default_factory=list)
    """Without the end token."""
    ending: Ending = "full"
    """Why there is no more of it."""
    end: int | None = None
    """The end token, where one ended it."""
    logps: list[float] = field(default_factory=list)
    """With `sample`: the log-probability of every token of `ids` and of `end`, under what it was drawn from (after
    temperature, top_k and top_p)."""
