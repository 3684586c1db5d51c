"""JSON: 1 where the answer is JSON and has the keys that are wanted; half of that where it is JSON without some of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Answered, Rate, Reward
from weitiao.core.registry import register


@register("reward", "valid_json")
@dataclass(frozen=True)
class ValidJson(Reward):
    """The answer is JSON, and nothing else."""

    keys: tuple[str, ...] = ()
    """An object with these is wanted; of those that are there half of the reward hangs on their share."""

    summary: ClassVar[str] = "1 where the answer is JSON with the wanted keys"

    def ready(self) -> Rate:
        """Nothing is to be opened."""

        def rate(answers: Sequence[Answered]) -> list[float]:
            return [self.of(one.answer) for one in answers]

        return rate

    def of(self, answer: str) -> float:
        """What an answer is worth."""
        try:
            found: Any = json.loads(answer)
        except (ValueError, RecursionError):
            return 0.0
        if not self.keys:
            return 1.0
        there = sum(key in found for key in self.keys) if isinstance(found, dict) else 0
        return 0.5 + 0.5 * there / len(self.keys)
