"""Two systems on the same rows: is the difference that is shown more than chance?

    PAIRED[task.judge](rows of truth, ours, others, groups=..., seed=...)
        ->  {"difference": ..., "p_value": ..., "test": ...}

The test is always one of the very statistic whose difference is shown.  If the systems were alike, each row's two
results might as well have been the other way round; so the signs of the rows' differences are drawn anew, and p is
how often that gives a sum as far from zero as the one found (Fisher 1935, The Design of Experiments, section 21).
For right and wrong this is McNemar's test, whose chances are known exactly.  Rows of one group (one user's, near
duplicates) are no witnesses of their own: their sign is drawn once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

Rows: TypeAlias = Sequence[Mapping[str, Any]]

FLIPS = 9_999
"""Draws of all signs: with the one that was found they make p a multiple of 1 / 10,000."""
EXACT = 13
"""So many units or fewer have no more than 2^13 ways, and all of them are gone through."""
BLOCK = 1 << 22
"""Signs that are in memory at once."""


def labels(
    references: Rows, ours: Rows, others: Rows, *, groups: Sequence[int] | None = None, seed: int = 0
) -> dict[str, Any]:
    """Exact McNemar test on the rows where one is right and the other wrong; with groups, their signs are drawn."""
    right, beside = (_right(references, guesses) for guesses in (ours, others))
    found = mcnemar(right, beside)
    gains = right.astype(float) - beside
    sums = by_group(gains, groups)
    return found if len(sums) == len(gains) else found | _test(sums, seed)


def _right(references: Rows, guesses: Rows) -> Any:
    return np.array([g["label"] == r["label"] for r, g in zip(references, guesses, strict=True)], dtype=bool)


def mcnemar(ours: Any, others: Any) -> dict[str, Any]:
    """The same from booleans, true where a row is right."""
    from scipy import stats

    gained, lost = int((ours & ~others).sum()), int((others & ~ours).sum())
    p_value = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    return {
        "difference": float(ours.mean() - others.mean()),
        "gained": gained,
        "lost": lost,
        "p_value": float(p_value),
        "test": "exact McNemar",
    }


def likelihood(
    references: Rows, ours: Rows, others: Rows, *, groups: Sequence[int] | None = None, seed: int = 0
) -> dict[str, Any]:
    """The difference of the perplexities, tested by the sum of the losses: both have the same tokens, so the
    perplexity with the smaller sum is the smaller one."""
    tokens = sum(row["tokens"] for row in ours)
    sums, beside = (np.array([row["loss"] for row in rows], dtype=float) for rows in (ours, others))
    difference = perplexity(sums.sum() / tokens) - perplexity(beside.sum() / tokens)
    gains = sums - beside
    return {"difference": difference, **_test(by_group(gains, groups), seed)}


def by_group(values: Any, groups: Sequence[int] | None) -> Any:
    """Sums over the rows of each group; the values themselves where every row is a group of its own."""
    if groups is None:
        return values
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    return np.bincount(place, weights=values)


def _test(gains: Any, seed: int) -> dict[str, Any]:
    return {"p_value": sign_flips(gains, seed=seed), "test": "paired permutation"}


def sign_flips(gains: Any, *, seed: int) -> float:
    """Two-sided p-value of sum(gains) when each gain is as likely to have the other sign.

    Args:
        gains: one a row, or a group.
        seed: of the signs, where there are too many ways to go through them all.
    """
    gains = np.asarray(gains, dtype=float)
    if not np.isfinite(gains).all():
        return 1.0  # a loss that is no number proves nothing
    gains = gains[gains != 0]
    if not len(gains):
        return 1.0
    # A sum of the same numbers in another order may differ in its last digits, and must count as equal.
    bar = abs(gains.sum()) - 1e-12 * np.abs(gains).sum()
    if len(gains) <= EXACT:
        ways = np.arange(1 << len(gains))[:, None] >> np.arange(len(gains)) & 1
        return float((np.abs((2 * ways - 1) @ gains) >= bar).mean())
    rng, far, done = np.random.default_rng(seed), 0, 0
    while done < FLIPS:
        draws = min(FLIPS - done, max(1, BLOCK // len(gains)))
        bits = np.unpackbits(rng.integers(0, 256, (draws, -(-len(gains) // 8)), dtype=np.uint8), axis=1)
        sums = 2 * (bits[:, : len(gains)] @ gains) - gains.sum()
        far, done = far + int((np.abs(sums) >= bar).sum()), done + draws
    return (far + 1) / (FLIPS + 1)  # the signs that were found are one of the ways (Phipson & Smyth 2010)


def perplexity(loss: float) -> float:
    """The exponential of a loss per token."""
    return math.exp(min(loss, 700.0))  # exp(710) overflows


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


PAIRED: dict[str, Callable[..., dict[str, Any]]] = {"labels": labels, "likelihood": likelihood}
