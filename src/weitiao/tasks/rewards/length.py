"""How long an answer is: 1 within a range, and less the farther it is outside.

n / min below it, max / n above it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from weitiao.core.contracts import Answered, Rate, Reward
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import reason


@register("reward", "length")
@dataclass(frozen=True)
class Length(Reward):
    """The answer is as long as is wanted."""

    min: Annotated[int, Field(ge=0)] = 0
    """Fewest that are wanted."""
    max: Annotated[int, Field(ge=1)] | None = None
    """Most that are wanted.  Default: any number."""
    unit: Literal["words", "characters", "tokens"] = "words"
    """Of what.  Words stand between spaces; of Chinese count characters."""

    summary: ClassVar[str] = "1 where the answer is as long as wanted, less outside"

    def ready(self) -> Rate:
        """Raises `wrong_value` for a range in which nothing lies."""
        if self.max is not None and self.max < self.min:
            why = reason("empty_range", least=self.min)
            raise fault("wrong_value", key="task.rewards.max", value=self.max, why=why)

        def rate(answers: Sequence[Answered]) -> list[float]:
            return [self.of(self.count(one)) for one in answers]

        return rate

    def count(self, one: Answered) -> int:
        """How long an answer is."""
        counts = {"words": len(one.answer.split()), "characters": len(one.answer), "tokens": one.tokens}
        return counts[self.unit]

    def of(self, count: int) -> float:
        """What so many are worth."""
        if count < self.min:
            return count / self.min
        return self.max / count if self.max is not None and count > self.max else 1.0
