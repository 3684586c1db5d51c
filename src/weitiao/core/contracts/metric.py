"""What an answer is worth: the contract of every metric.

    references, predictions  ->  rows     ->  (N, K), what each row tells
    rows, how often each is drawn (R, N)  ->  over  ->  (R,), the metric of each draw

From these two come the value (every row once), its interval (rows, or groups of them, drawn anew), the paired test of
the same statistic (rows of two systems swapped), slices and folds (some rows not at all): whoever writes a metric
writes none of that.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

Told: TypeAlias = Sequence[Mapping[str, Any]]
"""One dict a row: what was expected of it (`Task.reference`), or what a system said (`Task.predict`)."""


def unmet(needs: Sequence[str], holds: Collection[str]) -> str:
    """The first need (`label`, or `label|labels`: either) that predictions with these keys do not meet, or nothing."""
    return next((need for need in needs if not {*need.split("|")} & {*holds}), "")


class Metric(ABC):
    """What answers are worth.  Final subclasses are frozen dataclasses; their fields are their settings.

    A metric that is a function of sums over the rows is a `Summed`, and cheap; one that is none (a rank correlation, the
    area under a curve) says itself what it is `over` rows that are drawn several times or not at all.
    """

    summary: ClassVar[str]
    """One line for `weitiao metrics`."""
    source: ClassVar[str]
    """The paper, or the function of another library that gives the same number."""
    needs: ClassVar[tuple[str, ...]]
    """What a prediction must hold: `label`, `scores`, `number`, `tags`, `answer`, `loss`, `tokens` ..., or one of several
    (`label|labels`)."""
    higher_is_better: ClassVar[bool] = True
    """Whether more of it is better."""
    ideal: ClassVar[float | None] = None
    """The value that is best, where neither more nor less of it is: the nearer, the better.  No step is chosen by it."""
    graded: ClassVar[bool] = True
    """Is more or less of it better at all?  False of what only shows a drift, such as the length of answers."""
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    """The least and the greatest value that it can have."""
    undefined: ClassVar[tuple[str, str]] = ("too little to go by", "数据不足以计算")
    """Why it has no value where `over` gives nan, in English and Chinese."""
    no_interval: ClassVar[tuple[str, str] | None] = None
    """Why rows cannot be drawn several times for an interval, in English and Chinese; None where they can."""
    effort: ClassVar[int] = 40_000_000
    """How many numbers of its rows all draws together may go through, where it is no `Summed`: larger tests are drawn
    less often."""

    def lacks(self, holds: Collection[str]) -> str:
        """The first of its needs that predictions do not meet; empty when they meet all."""
        return unmet(self.needs, holds)

    def refuses(self, labels: Sequence[str]) -> str:
        """Why it makes no sense with these labels of the task; empty when it does."""
        return ""

    @abstractmethod
    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """What each row tells, an array (N, K); K is the same for all systems that answer the same rows.

        Args:
            references: what was expected, one a row.
            predictions: what a system said of the same rows.
            labels: the task's, in order; none where it has none.
        """

    def by_chance(self, rows_NK: Any, times: int, rng: Any) -> Any:
        """Values (R,) that a flawless model would have on so few rows, where that is not simply the best value; None
        where it is.

        Args:
            rows_NK: what `rows` gave.
            times: how many are drawn.
            rng: a generator of numpy's.
        """
        return None

    @abstractmethod
    def over(self, rows_NK: Any, weights_RN: Any) -> Any:
        """The metric (R,) of rows that count so often; nan where it is not defined.

        Args:
            rows_NK: what `rows` gave.
            weights_RN: how often each row counts, whole numbers, many of them 0.
        """

    def redrawn(self, rows_NK: Any, weights_RN: Any) -> Any:
        """The metric (R,) of draws that each stand for all rows: `over`, unless a draw may lack what is averaged.

        Args:
            rows_NK: what `rows` gave.
            weights_RN: how often each row is in each draw.
        """
        return self.over(rows_NK, weights_RN)


class Summed(Metric):
    """A function of sums over the rows."""

    proportion: ClassVar[bool] = False
    """Is it the share of rows that are right?  Its rows are then 1 or 0, and 1; interval and test have closed forms, unless
    a system has rows that are half right (`whole`)."""

    leaning: ClassVar[bool] = False
    """Is it larger, or smaller, on rows drawn anew than on the rows themselves, as a distance of two clouds is, of which some
    points come twice?  Then only how far draws lie from their own mean makes its interval."""

    def whole(self, rows_NK: Any) -> bool:
        """Is each of these rows right or wrong, so that the closed forms hold?"""
        return self.proportion and bool(((rows_NK[:, 0] == 0) | (rows_NK[:, 0] == 1)).all())

    @abstractmethod
    def value(self, sums_K: Any) -> Any:
        """The metric (...) of sums (..., K) over any rows; nan where it is not defined."""

    def imagined(self, sums_UK: Any) -> Any | None:
        """Sums (M, K), sparse or not, of units that were not seen and might have been, for intervals where some of what
        is averaged has few rows; None where what was seen is enough.

        Args:
            sums_UK: those of the units (rows, or groups of them) that were seen.
        """
        return None

    def over(self, rows_NK: Any, weights_RN: Any) -> Any:
        """The value of the weighted sums."""
        return self.value(weights_RN @ rows_NK)
