"""What an answer is worth while a model learns from its own answers: the contract of every reward.

Reward  ->  ready()  ->  ([Answered(prompt, answer, row), ...])  ->  one number an answer, the larger the better
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias


@dataclass(frozen=True)
class Answered:
    """A prompt and what a model said to it."""

    prompt: Sequence[Mapping[str, Any]]
    """Its turns."""
    answer: str
    row: Mapping[str, Any] = field(default_factory=dict)
    """The other columns of its row."""
    tokens: int = 0
    """Of the answer, without the end token."""
    place: str = ""
    """Where the row stands, for errors."""


Rate: TypeAlias = Callable[[Sequence[Answered]], Sequence[float]]
"""Answers -> what each is worth."""


class Reward(ABC):
    """What answers are worth.  Final subclasses are frozen dataclasses; their fields are their settings."""

    summary: ClassVar[str]
    """One line for the list."""

    @abstractmethod
    def ready(self) -> Rate:
        """What rates answers, with whatever it needs opened, once.

        Raises:
            WeitiaoError: where what it needs is not there.
        """
