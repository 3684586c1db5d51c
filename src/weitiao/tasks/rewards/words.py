"""Words that are wanted in an answer, and words that are not: the share of the former, less that of the latter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from weitiao.core.contracts import Answered, Rate, Reward
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.data.equal_text import stands_in


@register("reward", "words")
@dataclass(frozen=True)
class Words(Reward):
    """The answer has some words, and lacks others."""

    wanted: tuple[str, ...] = ()
    """Words, or phrases; each counts once, however often it stands there."""
    unwanted: tuple[str, ...] = ()
    """The same of those that are not to stand there."""

    summary: ClassVar[str] = "share of wanted words in the answer less that of unwanted ones"

    def ready(self) -> Rate:
        """Raises `wrong_value` where no word is named."""
        if not self.wanted and not self.unwanted:
            raise fault("wrong_value", key="task.rewards.wanted", value="[]", why=reason("no_words_named"))

        def rate(answers: Sequence[Answered]) -> list[float]:
            return [_share(self.wanted, one.answer) - _share(self.unwanted, one.answer) for one in answers]

        return rate


def _share(words: Sequence[str], answer: str) -> float:
    return sum(stands_in(answer, word) for word in words) / len(words) if words else 0.0
