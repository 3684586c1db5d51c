"""Mean reciprocal rank: how near to the top a search shows the first right passage.

mean over queries of 1 / (best rank of a right passage), or 0 where that is beyond k          Voorhees 1999, TREC-8
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import of_found, ratio


@register("metric", "mrr")
@register("metric", "mrr_at_10", k=10)
@dataclass(frozen=True)
class MeanReciprocalRank(Summed):
    """1 where the first passage is right, 1/2 where the second is the first right one, and so on, on average."""

    k: Annotated[int, Field(ge=1)] | None = None
    """How many passages are looked at: 0 where none of them is right.  Default: all."""

    summary: ClassVar[str] = "mean of 1 / rank of the first right passage"
    source: ClassVar[str] = "ranx.evaluate(metrics='mrr')"
    needs: ClassVar[tuple[str, ...]] = ("ranks",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The reciprocal rank of each row, and 1: (N, 2)."""
        return of_found(predictions, self._first)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])

    def _first(self, told: Mapping[str, Any]) -> float:
        rank = min(told["ranks"])
        return 1 / rank if self.k is None or rank <= self.k else 0.0
