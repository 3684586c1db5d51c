"""A regular expression: 1 where the answer has what it describes, else 0."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from weitiao.core.contracts import Answered, Rate, Reward
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import reason


@register("reward", "regex")
@dataclass(frozen=True)
class Regex(Reward):
    """The answer matches a pattern."""

    pattern: str
    """As Python's `re` has it; `.` matches line ends too."""
    whole: bool = False
    """Must it describe the whole answer, not a part of it?"""

    summary: ClassVar[str] = "1 where the answer matches a regular expression"

    def ready(self) -> Rate:
        """Raises `wrong_value` for what is no regular expression."""
        try:
            found = re.compile(self.pattern, re.DOTALL)
        except re.error as error:
            why = reason("no_regex", error=error)
            raise fault("wrong_value", key="task.rewards.pattern", value=self.pattern, why=why) from None
        match = found.fullmatch if self.whole else found.search

        def rate(answers: Sequence[Answered]) -> list[float]:
            return [float(match(one.answer) is not None) for one in answers]

        return rate
