"""What an answer is worth while a model learns from its own answers: the contract of every reward.

Reward  ->  ready()  ->  ([Answered(prompt, answer, row), ...])  ->  one number an answer, the larger the better
        ->  asks()   ->  AskedModel, for forecasts; None where no model is asked
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from weitiao.core.contracts.rows import Example

if TYPE_CHECKING:
    from weitiao.core.contracts.method import Method
    from weitiao.core.contracts.task import Task


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


Read: TypeAlias = Callable[[Sequence[Answered], Any, int], list[Example]]
"""Answers, a processor, the longest row in tokens -> what a model reads of each."""


@dataclass(frozen=True)
class AskedModel:
    """A model that rates answers, as a forecast knows it: nothing of it is opened."""

    ref: str
    """A folder, name or hub id: whose weights are read."""
    task: Task
    """What it has learnt."""
    method: Method | None
    """Whose modules lie in it; None where all weights are in `ref`."""
    half: Literal["bfloat16", "float16"] | None
    """What it computes in, where that is not float32."""
    rows: int
    """Answers that share a pass, at most."""
    longest: int | None
    """Tokens of a row that are read at once; None: as many as it has positions for."""
    read: Read


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

    def asks(self) -> AskedModel | None:
        """The model that it asks; None where it asks none.

        Raises:
            WeitiaoError: as `ready`.
        """
        return None
