"""Two systems on the same rows: is the difference that is shown more than chance?

    tests({"f1": (metric, our rows, the other's)}, ...)  ->  {"f1": {"difference": ..., "p_value": ..., "test": ...}}

The test is always one of the very statistic whose difference is shown.  If the systems were alike, each row's two
results might as well have been the other way round; so they are swapped at random, and p is how often that gives a
difference as far from zero as the one found (Fisher 1935, The Design of Experiments, section 21).  For right and wrong
this is McNemar's test, whose chances are known exactly.  Rows of one group (one user's, near duplicates) are no
witnesses of their own: they are swapped together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from weitiao.core.contracts import Metric, Summed
from weitiao.evaluate import resample

FLIPS = 9_999
"""Draws of what is swapped: with the one that was found they make p a multiple of 1 / 10,000."""
EXACT = 13
"""So many units or fewer have no more than 2^13 ways, and all of them are gone through."""
NARROW = 16
"""Up to so many sums a row go through tables of eight units each; wider ones are multiplied."""

TABLE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)


def tests(
    both: Mapping[str, tuple[Metric, Any, Any]], unit_N: Any, count: int, *, seed: int
) -> dict[str, dict[str, Any]]:
    """Difference (ours minus the other's), two-sided p-value and name of the test, by metric.

    Args:
        both: by name a metric, our rows (N, K) and the other's.
        unit_N: unit of each row.
        count: how many units there are.
        seed: of what is swapped, where there are too many ways to go through them all.
    """
    found: dict[str, dict[str, Any]] = {}
    swapped = _Swapped(seed)
    for name, (metric, ours, others) in both.items():
        if isinstance(metric, Summed):
            mine, theirs = (resample.sums(rows, unit_N, count) for rows in (ours, others))
            difference = float(metric.value(mine.sum(0)) - metric.value(theirs.sum(0)))
            result: dict[str, Any] = {"difference": difference, "p_value": 1.0, "test": "paired permutation"}
            closed = metric.whole(ours) and metric.whole(others)
            if closed:
                result |= mcnemar(ours[:, 0] > 0, others[:, 0] > 0, exact=count == len(ours))
            if not closed or count != len(ours):
                result["p_value"] = swapped.summed(metric, mine, theirs, difference)
        else:
            difference, p_value = swapped.whole(metric, ours, others, unit_N, count)
            result = {"difference": difference, "p_value": p_value, "test": "paired permutation"}
        defined = np.isfinite(result["difference"])
        found[name] = result if defined else {"difference": None, "p_value": None, "test": None}
    return found


def mcnemar(ours: Any, others: Any, *, exact: bool = True) -> dict[str, Any]:
    """McNemar's test from booleans, true where a row is right; without `exact` the counts alone."""
    from scipy import stats

    gained, lost = int((ours & ~others).sum()), int((others & ~ours).sum())
    counts = {"difference": float(ours.mean() - others.mean()), "gained": gained, "lost": lost}
    if not exact:
        return counts
    p_value = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    return {**counts, "p_value": float(p_value), "test": "exact McNemar"}


class _Swapped:
    """What is swapped in each draw.  Metrics by which the same units differ share their draws."""

    def __init__(self, seed: int):
        self.seed = seed
        self._kept: dict[int, Any] = {}

    def summed(self, metric: Summed, ours_UK: Any, others_UK: Any, difference: float) -> float:
        """Two-sided p-value of a function of sums."""
        both_K, differ = ours_UK.sum(0) + others_UK.sum(0), (ours_UK != others_UK).any(1)
        if not differ.any() or not np.isfinite(difference) or not np.isfinite(both_K).all():
            return 1.0  # a loss that is no number proves nothing
        gains_UK = (ours_UK - others_UK)[differ]
        # ours = (both + gains) / 2, and in every draw the gains of some units have the other sign.
        total, far, draws = gains_UK.sum(0), 0, 0
        # Sums of the same numbers in another order may differ in their last digits, and must count as equal.
        bar = abs(difference) - 1e-12 * max(abs(difference), _size(metric, both_K))
        for bits in self._bits(len(gains_UK)):
            gain_DK = 2 * _sums(bits, gains_UK) - total
            drawn = metric.value((both_K + gain_DK) / 2) - metric.value((both_K - gain_DK) / 2)
            far, draws = far + _far(drawn, bar), draws + len(drawn)
        return _p(far, draws, exact=len(gains_UK) <= EXACT)

    def whole(self, metric: Metric, ours: Any, others: Any, unit_N: Any, count: int) -> tuple[float, float]:
        """Difference and p-value of a metric that is no sum: rows of both systems, half of them left out."""
        rows = np.concatenate([ours, others])
        size = len(ours)

        def differences(swap_DN: Any) -> Any:
            first = np.concatenate([~swap_DN, swap_DN], axis=1)
            return metric.over(rows, first.astype(float)) - metric.over(rows, (~first).astype(float))

        difference = float(differences(np.zeros((1, size), dtype=bool))[0])
        if not np.isfinite(difference) or difference == 0:
            return difference, 1.0
        times, far, draws = resample.often(metric, FLIPS, rows), 0, 0
        bar = abs(difference) - 1e-12
        block = max(1, resample.BLOCK // (2 * size))
        for bits in self._bits(count):
            for start in range(0, min(len(bits), times - draws), block):
                some = bits[start : start + block][: times - draws]
                swap_DU = np.unpackbits(some, axis=1, count=count).astype(bool)
                drawn = differences(swap_DU[:, unit_N])
                far, draws = far + _far(drawn, bar), draws + len(drawn)
        return difference, _p(far, draws, exact=count <= EXACT)

    def _bits(self, count: int) -> Iterator[Any]:
        """Draws of `count` bits, packed (D, count / 8)."""
        if count <= EXACT:
            ways = np.arange(1 << count)[:, None] >> np.arange(count) & 1
            yield np.packbits(ways.astype(np.uint8), axis=1)
            return
        if count not in self._kept:
            rng = np.random.default_rng(self.seed)
            self._kept[count] = rng.integers(0, 256, (FLIPS, -(-count // 8)), dtype=np.uint8)
        yield self._kept[count]


def _sums(bits: Any, gains_UK: Any) -> Any:
    """The gains of those units whose bit is set, added up: (D, K)."""
    units, width = gains_UK.shape
    if width <= NARROW:
        found = np.zeros((len(bits), width))
        padded = np.zeros((8 * bits.shape[1], width))
        padded[:units] = gains_UK
        # What any eight units can add up to is written down once and looked up in every draw.
        for column, eight in zip(np.ascontiguousarray(bits.T), padded.reshape(-1, 8, width), strict=True):
            found += (TABLE @ eight)[column]
        return found
    parts = []
    block = max(1, resample.BLOCK // units)
    for start in range(0, len(bits), block):
        some = np.unpackbits(bits[start : start + block], axis=1, count=units).astype(float)
        parts.append(resample.product(gains_UK, some))
    return np.concatenate(parts)


def _far(drawn: Any, bar: float) -> int:
    """Draws as far from zero as what was found; one that is not defined counts as such, in favour of chance."""
    return int((~(np.abs(drawn) < bar)).sum())


def _p(far: int, draws: int, *, exact: bool) -> float:
    # What was found is one of the ways, too (Phipson & Smyth 2010).
    return far / draws if exact else (far + 1) / (draws + 1)


def _size(metric: Summed, both_K: Any) -> float:
    """How large values of the metric are here."""
    with np.errstate(all="ignore"):
        size = abs(float(metric.value(both_K / 2)))
    return size if np.isfinite(size) else 0.0


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several comparisons, corrected so that any false finding among them is as rare as one alone.

    The smallest is multiplied by their number m, the next by m - 1 ..., and none is below the one before it
    (Holm 1979, Scandinavian Journal of Statistics 6, 65-70).
    """
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = least
    return corrected
