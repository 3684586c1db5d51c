"""One system's value less another's on the same rows, and how sure that is.

difference(references, systems, metrics, before="default", after="trial 7", ...)  ->  {"difference": 0.04, "low": 0.01, ...}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weitiao.evaluate.judge import read, value
from weitiao.evaluate.resample import bootstrap, interval, units


def difference(
    references: Sequence[Mapping[str, Any]],
    systems: Mapping[str, Any],
    metrics: Mapping[str, Any],
    *,
    before: str,
    after: str,
    labels: Sequence[str],
    confidence: float,
    resamples: int,
    seed: int,
    groups: Sequence[int] | None = None,
) -> dict[str, Any]:
    """The value of `after` less that of `before`, and its interval by the bootstrap of rows, in pairs.

    Args:
        references: what was expected, one a row.
        systems: by name what each said.
        metrics: the one that counts, by its name.
        before: the system that is taken away.
        after: the one whose gain is asked.
        labels: of the task.
        confidence: of the interval.
        resamples: of the bootstrap.
        seed: of the draws.
        groups: which rows belong together; default: each is its own.

    Returns:
        `difference`, `low`, `high` and `verdict`: `better`, `worse`, `level`, or None where nothing can be said.
    """
    import numpy as np

    (name, metric) = next(iter(metrics.items()))
    unit_N, count = units(groups, len(references))
    rows = read(references, {one: systems[one] for one in (before, after)}, metrics, labels)
    values = {one: value(metric, own[name]) for one, own in rows.items()}
    found = values[after] - values[before]
    drawn = bootstrap(
        {one: (metric, own[name]) for one, own in rows.items()},
        unit_N,
        count,
        resamples=resamples,
        seed=seed,
    )
    span = interval(drawn[after] - drawn[before], confidence, count=count) if count > 1 else None
    if not np.isfinite(found):
        return {"difference": None, "low": None, "high": None, "verdict": None}
    # Rows of which both say the same tell nothing of others.
    if span is None or np.isclose(*span, rtol=1e-12, atol=1e-12):
        return {"difference": found, "low": None, "high": None, "verdict": None}
    sign = 1 if metric.higher_is_better else -1
    gains = sorted((sign * span[0], sign * span[1]))
    verdict = "better" if gains[0] > 0 else "worse" if gains[1] < 0 else "level"
    return {"difference": found, "low": span[0], "high": span[1], "verdict": verdict}
