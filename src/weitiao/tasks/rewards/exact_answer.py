"""The right answer stands in a column of the row: 1 where the model's answer is it, else 0.

Compared without case, marks at the ends and doubled spaces; numbers by their value (`4`, `4.0` and `4,000.0` / `4000`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from weitiao.core.contracts import Answered, Rate, Reward
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.data.equal_text import normalised, stands_in

NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")
MARKS = " \t\n.,;:!?\"'()[]*`。，；：！？“”‘’（）"


@register("reward", "exact_answer")
@dataclass(frozen=True)
class ExactAnswer(Reward):
    """The answer is the right one."""

    column: str = "answer"
    """Where the right answer stands."""
    within: Literal["whole", "last_number", "last_line", "anywhere"] = "whole"
    """What of the model's answer is compared: all of it, the last number in it, or its last line; `anywhere`: it stands
    somewhere in it, as words of its own."""

    summary: ClassVar[str] = "1 where the answer is the one in a column of the row"

    def ready(self) -> Rate:
        """Nothing is to be opened."""

        def rate(answers: Sequence[Answered]) -> list[float]:
            return [self.of(one) for one in answers]

        return rate

    def of(self, one: Answered) -> float:
        """1 or 0.

        Raises:
            WeitiaoError: `bad_reward` for a row that has no right answer.
        """
        right = one.row.get(self.column)
        if right is None or isinstance(right, dict | list):
            why = reason("row_lacks", column=self.column, found=", ".join(one.row) or "-")
            raise fault("bad_reward", reward="exact_answer", place=one.place, answer=one.answer[:80], why=why)
        if self.within == "anywhere":
            return float(stands_in(one.answer, _plain(str(right))))
        return float(_plain(self.part(one.answer)) == _plain(str(right)))

    def part(self, answer: str) -> str:
        """What is compared."""
        if self.within == "last_number":
            return next(reversed(NUMBER.findall(answer)), "")
        if self.within == "last_line":
            return next(reversed(answer.strip().splitlines()), "")
        return answer


def _plain(text: str) -> str:
    text = normalised(text).strip(MARKS) if not NUMBER.fullmatch(text.strip()) else text.strip()
    if NUMBER.fullmatch(text):
        number = float(text.replace(",", ""))
        return str(int(number)) if number.is_integer() else str(number)
    return text
