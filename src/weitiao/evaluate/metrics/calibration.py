"""Expected calibration error: how far the probability of what is predicted is from how often it is right.

    sum over bins of |rows right - sum of probabilities| / rows          bins by the probability of the predicted label

The bins are equally wide, or hold equally many rows (equal probabilities stay together).  Few rows look badly calibrated
by chance alone, so beside the value stands what a perfectly calibrated model would show on the same probabilities: each
row is right with just its probability, drawn many times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import ratio, scores

PLACES = 1 << 22
"""Draws of rows that are in memory at once."""


@register("metric", "ece")
@register("metric", "ece_equal_mass", width="rows")
@dataclass(frozen=True)
class Ece(Summed):
    """How far the probability of the predicted label is from the share of rows in which it is right."""

    bins: Annotated[int, Field(ge=1)] = 15
    """Into how many parts the probabilities are cut."""
    width: Literal["probability", "rows"] = "probability"
    """What all bins have the same of: width, or rows."""

    summary: ClassVar[str] = "how far probabilities are from how often they are right"
    source: ClassVar[str] = "Guo et al. 2017, arXiv 1706.04599"
    needs: ClassVar[tuple[str, ...]] = ("label", "scores")
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """1, probability and right (1 or 0) in the row's bin, 0 elsewhere: (N, 3B)."""
        probability = scores(predictions, labels).max(1)
        right = np.array([a["label"] == b["label"] for a, b in zip(references, predictions, strict=True)])
        return self.told(probability, right)

    def told(self, probability: Any, right: Any) -> Any:
        """The rows of any probabilities (N,), and whether what they are of came true (N,)."""
        found = np.zeros((len(right), 3, self.bins))
        found[np.arange(len(right)), :, self._bin(probability)] = np.stack(
            [np.ones(len(right)), probability, right], axis=1
        )
        return found.reshape(len(right), -1)

    def _bin(self, probability: Any) -> Any:
        if self.width == "probability":  # (0, 1/B], (1/B, 2/B] ...
            return np.clip(np.ceil(probability * self.bins).astype(int) - 1, 0, self.bins - 1)
        # Where the first row of a probability would stand among all, in order.
        first = np.searchsorted(np.sort(probability), probability)
        return first * self.bins // max(1, len(probability))

    def value(self, sums_K: Any) -> Any:
        """The mean distance over the rows."""
        rows, probability, right = np.split(np.asarray(sums_K, dtype=float), 3, axis=-1)
        return ratio(np.abs(right - probability).sum(-1), rows.sum(-1))

    def by_chance(self, rows_NK: Any, times: int, rng: Any) -> Any:
        """The values (R,) of a model whose probabilities are right."""
        inside, probability, _ = np.split(rows_NK, 3, axis=1)
        each, found = probability.sum(1), np.empty((times, 3 * self.bins))
        found[:, : 2 * self.bins] = rows_NK[:, : 2 * self.bins].sum(0)
        step = max(1, PLACES // len(each))
        for start in range(0, times, step):
            drawn = rng.random((min(step, times - start), len(each))) < each
            found[start : start + step, 2 * self.bins :] = drawn.astype(float) @ inside
        return self.value(found)
