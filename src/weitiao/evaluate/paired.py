"""Two systems on the same rows: is the one better than the other beyond chance?

    PAIRED[task.judge](references, ours, others)  ->  {"difference": ours - others, "p_value": ..., "test": ...}
    holm([0.01, 0.04, 0.03])                      ->  [0.03, 0.06, 0.06]

One paired test a judge (`metrics.JUDGES`): tuned beside untuned in every run, method beside method in a comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

Rows: TypeAlias = Sequence[Mapping[str, Any]]


def labels(references: Rows, ours: Rows, others: Rows) -> dict[str, Any]:
    """Exact McNemar test on the rows where one is right and the other wrong."""
    return mcnemar(*(_right(references, guesses) for guesses in (ours, others)))


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


def likelihood(references: Rows, ours: Rows, others: Rows) -> dict[str, Any]:
    """Wilcoxon signed-rank test of the loss per token, row by row; the difference is that of the perplexities."""
    from scipy import stats

    counts = np.array([row["tokens"] for row in ours])
    sums, beside = (np.array([row["loss"] for row in rows]) for rows in (ours, others))
    gains = (sums - beside) / counts
    p_value = float(stats.wilcoxon(gains).pvalue) if np.any(gains) else 1.0
    difference = perplexity(sums.sum() / counts.sum()) - perplexity(beside.sum() / counts.sum())
    return {"difference": difference, "p_value": p_value, "test": "Wilcoxon signed rank"}


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


PAIRED: dict[str, Callable[[Rows, Rows, Rows], dict[str, Any]]] = {"labels": labels, "likelihood": likelihood}
