"""A function of your own: `file.py:name`, called with prompts, answers and rows.

def kind(prompts, answers, rows):          # turns of each prompt, texts, the other columns of each row
    return [float("please" in answer) for answer in answers]

task.rewards: [my_rewards.py:kind]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Answered, Rate, Reward
from weitiao.core.function import opened
from weitiao.core.registry import register


@register("reward", "function")
@dataclass(frozen=True)
class Function(Reward):
    """What a function of yours says."""

    function: str
    """`path/to/file.py:name`, or `package.module:name`."""

    summary: ClassVar[str] = "a function of your own: file.py:name"

    def ready(self) -> Rate:
        """Raises `no_such_function`."""
        found = opened(self.function, key="task.rewards")

        def rate(answers: Sequence[Answered]) -> Any:
            return found(
                [list(one.prompt) for one in answers],
                [one.answer for one in answers],
                [dict(one.row) for one in answers],
            )

        return rate
