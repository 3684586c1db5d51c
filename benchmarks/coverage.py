"""How often the judge's intervals hold the truth, over simulated test sets of one population.

python -m benchmarks.coverage [SETS]  ->  a line a metric: share of the 95 % intervals that cover, by the judge's own draws;
                                           each case on standard error when it is done

Rows are alone, or in groups of 1 to 9 that are easy or hard together (a user's, near copies).  The truth is the metric of
two million rows of the same population.  Beside the grouped sets stands what intervals would hold that take every row
for a witness of its own; then sets of 20 groups, or rows; last, what those hold whose classes are rare: about ten rows of
one and five of another.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weitiao.core import registry
from weitiao.evaluate.judge import judge, value

METRICS = (
    "accuracy",
    "f1",
    "recall",
    "precision",
    "balanced_accuracy",
    "mcc",
    "log_loss",
    "brier",
    "roc_auc",
    "perplexity",
    "mae",
    "rmse",
    "r2",
    "pearson",
    "spearman",
)
LABELS = ("a", "b", "c")
SHARES = (0.5, 0.3, 0.2)
RARE = (0.9, 0.07, 0.03)
"""Of the labels; a set of 150 rows has about 135, 10 and 5 rows of them."""
UNITS = 150
"""Rows on their own, or groups, of one test set."""
FEW = 20
"""Groups of a small test set."""
LARGE = 4
"""Draws behind the truth."""


def drawn(
    units: int, rng: np.random.Generator, *, grouped: bool, shares: Sequence[float] = SHARES
) -> tuple[list[Any], list[Any], list[int]]:
    """References, predictions and groups of one test set."""
    sizes = rng.integers(1, 10, units) if grouped else np.ones(units, dtype=int)
    group = np.repeat(np.arange(units), sizes)
    rows = len(group)
    # What a group has in common: how easy it is, and where its numbers lie.
    ease = rng.normal(0, 1.0 if grouped else 0.0, units)[group] + 0.9
    middle = rng.normal(0, 1.0, units)[group]
    true = rng.choice(3, rows, p=shares)
    raw = rng.normal(0, 1, (rows, 3))
    raw[np.arange(rows), true] += ease
    scores = np.exp(raw) / np.exp(raw).sum(1, keepdims=True)
    tokens = rng.integers(3, 60, rows)
    loss = tokens * np.exp(rng.normal(0.3, 0.3, rows) - 0.3 * ease)
    number = middle + rng.normal(0, 1.0, rows)
    guess = number + rng.normal(0, 0.7, rows) * np.exp(-0.3 * ease)
    references = [{"label": LABELS[one], "number": float(n)} for one, n in zip(true, number, strict=True)]
    predictions = [
        {
            "label": LABELS[row.argmax()],
            "scores": dict(zip(LABELS, row.tolist(), strict=True)),
            "number": float(g),
            "loss": float(lost),
            "tokens": int(t),
        }
        for row, g, lost, t in zip(scores, guess, loss, tokens, strict=True)
    ]
    return references, predictions, group.tolist()


def truth(
    *, grouped: bool, metrics: Mapping[str, Any], rows: int = 500_000, shares: Sequence[float] = SHARES
) -> dict[str, float]:
    """Every metric of a large draw, mean over `LARGE` of them: two million dicts at once are too much for a small machine."""
    found: dict[str, list[float]] = {name: [] for name in metrics}
    for seed in range(LARGE):
        rng = np.random.default_rng([12345, seed])
        units = rows // (5 if grouped else 1)
        references, predictions, _ = drawn(units, rng, grouped=grouped, shares=shares)
        for name, one in metrics.items():
            found[name].append(value(one, one.rows(references, predictions, LABELS)))
    return {name: float(np.mean(values)) for name, values in found.items()}


def covered(
    sets: int,
    *,
    grouped: bool,
    metrics: Mapping[str, Any],
    told: bool = True,
    units: int = UNITS,
    resamples: int = 1000,
    rows: int = 500_000,
    shares: Sequence[float] = SHARES,
    wanted: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Share of the sets whose interval holds the truth, by metric.

    Args:
        sets: simulated test sets.
        grouped: are rows in groups?
        metrics: by name.
        told: is the judge told of the groups?
        units: rows alone, or groups, of a set.
        resamples: draws behind an interval.
        rows: of each draw behind the truth.
        shares: of the labels.
        wanted: the truth, where it is known.
    """
    wanted = wanted or truth(grouped=grouped, metrics=metrics, rows=rows, shares=shares)
    hits = dict.fromkeys(metrics, 0)
    for number in range(sets):
        rng = np.random.default_rng(number)
        references, predictions, groups = drawn(units, rng, grouped=grouped, shares=shares)
        options = {"labels": LABELS, "resamples": resamples, "seed": number}
        found = judge(
            references, {"tuned": predictions}, metrics, groups=groups if told else None, **options
        )["metrics"]["tuned"]
        for name, one in found.items():
            hits[name] += one["low"] is not None and one["low"] <= wanted[name] <= one["high"]
    return {name: count / sets for name, count in hits.items()}


def main() -> None:
    """All metrics, alone and in groups."""
    sets = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    metrics = {name: registry.build("metric", {"name": name}) for name in METRICS}
    asked: dict[str, dict[str, Any]] = {
        "rows": {"grouped": False},
        "groups": {"grouped": True},
        "groups, taken for rows": {"grouped": True, "told": False},
        f"{FEW} groups": {"grouped": True, "units": FEW},
        f"{FEW} rows": {"grouped": False, "units": FEW},
        "rare, rows": {"grouped": False, "shares": RARE},
        "rare, groups": {"grouped": True, "shares": RARE},
    }
    columns, known = {}, dict[Any, dict[str, float]]()
    for title, words in asked.items():
        population = {"grouped": words["grouped"], "shares": words.get("shares", SHARES)}
        key = tuple(population.values())
        if key not in known:
            known[key] = truth(metrics=metrics, **population)
        columns[title] = covered(sets, metrics=metrics, wanted=known[key], **words)
        print(title, columns[title], file=sys.stderr, flush=True)
    print(f"{sets} sets of {UNITS} rows or groups; share of 95 % intervals that hold the truth")
    print("metric".ljust(17), *columns, sep="  ")
    for name in METRICS:
        print(name.ljust(17), *(f"{one[name]:{len(title)}.3f}" for title, one in columns.items()), sep="  ")


if __name__ == "__main__":
    main()
