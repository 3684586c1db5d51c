"""Values of several folds in one number, with an interval that knows that the folds share their training rows.

    [0.91, 0.88, 0.93], ratio=0.31  ->  over_folds(...)  ->  {"mean": 0.907, "sd": 0.025, "low": 0.85, "high": 0.96, ...}

Folds are no independent witnesses: any two of them train on mostly the same rows.  The variance of their mean is taken as
(1 / k + n_test / n_train) s^2 instead of s^2 / k, with Student's t of k - 1 degrees of freedom (Nadeau & Bengio 2003,
Machine Learning 52, 239-281, section 3).  Student's t knows nothing of where values end (1 is the most that F1 can be),
so the interval is cut off there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from weitiao.core.why import reason

ANYTHING = (-math.inf, math.inf)


def over_folds(
    values: Sequence[float | None],
    *,
    ratio: float,
    confidence: float,
    bounds: tuple[float, float] = ANYTHING,
) -> dict[str, Any]:
    """Mean, standard deviation over the folds, and the corrected resampled interval of the mean.

    Args:
        values: one a fold; None where it is not defined there, and such folds are left out.
        ratio: test rows / training rows of a fold.
        confidence: coverage of the interval.
        bounds: the least and the greatest value that there can be (`Metric.bounds`); the interval ends there.

    Returns:
        `mean`, `sd`, `low`, `high` and `folds`, how many have a value; None with its `why` where there is nothing to say.
    """
    from scipy import stats

    known = [value for value in values if value is not None]
    folds, nothing = len(known), {"sd": None, "low": None, "high": None}
    if not known:
        return {"mean": None, **nothing, "folds": 0, "why": reason("no_fold_defined")}
    mean = float(np.mean(known))
    if folds == 1:
        return {"mean": mean, **nothing, "folds": 1, "why": reason("one_fold")}
    sd = float(np.std(known, ddof=1))
    if _alike(known):
        why = reason("folds_alike")
        return {"mean": mean, "sd": 0.0, "low": None, "high": None, "folds": folds, "why": why}
    half = float(stats.t.isf((1 - confidence) / 2, folds - 1)) * _error(sd, folds, ratio)
    low, high = max(bounds[0], mean - half), min(bounds[1], mean + half)
    return {"mean": mean, "sd": sd, "low": low, "high": high, "folds": folds}


def paired_over_folds(
    ours: Sequence[float | None],
    others: Sequence[float | None],
    *,
    ratio: float,
    confidence: float,
    bounds: tuple[float, float] = ANYTHING,
) -> dict[str, Any]:
    """Our values less the other's, fold by fold: as `over_folds`, with the two-sided `p_value` of the corrected
    resampled t-test that their mean is 0.

    `bounds` are those of the values: no two of them differ by more than these do.  Folds that all differ by the same have no spread to go by: 0 everywhere is p = 1, anything else has no p-value.
    """
    from scipy import stats

    pairs = [
        None if one is None or other is None else one - other for one, other in zip(ours, others, strict=True)
    ]
    widest = bounds[1] - bounds[0]
    found = over_folds(pairs, ratio=ratio, confidence=confidence, bounds=(-widest, widest))
    found["difference"] = found.pop("mean")
    found["p_value"] = None
    if found["low"] is not None:
        t = found["difference"] / _error(found["sd"], found["folds"], ratio)
        found["p_value"] = float(2 * stats.t.sf(abs(t), found["folds"] - 1))
    elif found["folds"] > 1 and found["difference"] == 0:
        found["p_value"] = 1.0
    return found


def _error(sd: float, folds: int, ratio: float) -> float:
    return sd * math.sqrt(1 / folds + ratio)


def _alike(values: Sequence[float]) -> bool:
    # Sums of the same numbers in another order may differ in their last digits.
    return max(values) - min(values) <= 1e-12 * max(1.0, *map(abs, values))
