"""What a tuned model must beat: the contract of every baseline.

training records, their shape  ->  fit  ->  (records)  ->  one prediction a record
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

from weitiao.core.contracts.rows import Record, Shape

Answers: TypeAlias = Callable[[Sequence[Record]], list[dict[str, Any]]]
"""Records, whose answers it does not look at -> what it says of each, in the keys of the task's own predictions."""


SEEN = "seen"
"""The column in which a record holds what the base sees in it, (D,), where a baseline asks for that."""


class Baseline(ABC):
    """A cheap way to answer, learnt from the same training rows.  Final subclasses are frozen dataclasses; their fields
    are their settings."""

    summary: ClassVar[str]
    """One line for the list."""
    source: ClassVar[str]
    """The paper, or the classes of another library that it is made of."""
    blind: ClassVar[bool] = False
    """Does it say the same whatever a row holds?  Who does no better has learnt nothing of the rows."""

    sees: ClassVar[bool] = False
    """Does it go by what the model sees in a row before it is tuned?  Then all records that it is handed hold that in `SEEN`."""

    @abstractmethod
    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Learn from the training rows; deterministic.

        Args:
            records: the training rows as they were converted, before any was made of them.
            shape: what they hold.
        """
