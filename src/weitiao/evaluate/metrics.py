"""Predictions and truth in, numbers with intervals out.  One judge a kind of task.

    JUDGES[task.judge](references, {"tuned": [...], "untuned": [...]}, ...)  ->  metrics, comparisons, details

Point values are scikit-learn's; intervals are Wilson's for accuracy and the percentile bootstrap for the rest
(SciPy); pairs of systems are compared on the same rows by the judge's test in `paired.py`.  Where rows belong together
(`groups`), all intervals are the bootstrap's and whole groups are drawn: ten rows of one user are not ten witnesses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from weitiao.core.recipe import Evaluate
from weitiao.core.scores import macro_scores
from weitiao.evaluate import paired

Systems: TypeAlias = Mapping[str, Sequence[Mapping[str, Any]]]
Judge: TypeAlias = Callable[..., dict[str, Any]]
Units: TypeAlias = Sequence[Any]
"""Indices of the rows that are drawn together."""


def judge_labels(
    references: Sequence[Mapping[str, Any]],
    systems: Systems,
    *,
    settings: Evaluate,
    seed: int,
    labels: Sequence[str],
    groups: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Accuracy, macro precision, recall and F1; confusion matrix and per-class table of `tuned`."""
    from sklearn import metrics

    index = {label: i for i, label in enumerate(labels)}
    truth = np.array([index[row["label"]] for row in references])
    guesses = {name: np.array([index[row["label"]] for row in rows]) for name, rows in systems.items()}
    units = _units(groups, len(truth))
    everything = list(range(len(labels)))
    tuned = guesses["tuned"]
    by_class = metrics.precision_recall_fscore_support(truth, tuned, labels=everything, zero_division=0)
    return {
        "metrics": {
            name: _label_metrics(truth, guess, len(labels), units, settings, seed)
            for name, guess in guesses.items()
        },
        "comparisons": _beside(paired.labels, references, systems, groups=groups, seed=seed),
        "confusion": {
            "labels": list(labels),
            "matrix": metrics.confusion_matrix(truth, tuned, labels=everything).tolist(),
        },
        "per_class": [
            {"label": label, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
            for label, p, r, f, s in zip(labels, *by_class, strict=True)
        ],
    }


def _label_metrics(
    truth: Any, guess: Any, classes: int, units: Units, settings: Evaluate, seed: int
) -> dict[str, dict[str, float]]:
    from scipy import stats
    from sklearn import metrics

    options = {"average": "macro", "zero_division": 0}
    hits = truth == guess
    low, high = _bootstrap(
        lambda rows: np.append(macro_scores(truth[rows], guess[rows], classes), hits[rows].mean()),
        units,
        settings,
        seed,
    )
    points = {
        "precision": metrics.precision_score(truth, guess, **options),
        "recall": metrics.recall_score(truth, guess, **options),
        "f1": metrics.f1_score(truth, guess, **options),
    }
    around = (low[-1], high[-1])
    if len(units) == len(truth) or hits.all() or not hits.any():
        # Rows on their own have a closed formula; and drawing groups that are all right tells nothing of others.
        right = round(float(hits.mean()) * len(units))
        around = stats.binomtest(right, len(units)).proportion_ci(settings.confidence, "wilson")
    found = {"accuracy": {"value": float(hits.mean()), "low": float(around[0]), "high": float(around[1])}}
    for place, (name, value) in enumerate(points.items()):
        found[name] = {"value": float(value), "low": float(low[place]), "high": float(high[place])}
    return found


def _units(groups: Sequence[int] | None, rows: int) -> Units:
    """The rows of each group; every row alone where nothing is known of groups."""
    if groups is None:
        return [np.array([row]) for row in range(rows)]
    order = np.argsort(groups, kind="stable")
    _, first = np.unique(np.asarray(groups)[order], return_index=True)
    return np.split(order, first[1:])


def _bootstrap(
    statistic: Callable[[Any], Any], units: Units, settings: Evaluate, seed: int
) -> tuple[Any, Any]:
    """Percentile interval of a statistic of rows, over units drawn with replacement."""
    from scipy import stats

    if len(units) == 1:  # one unit drawn again is that unit again
        return (value := statistic(units[0])), value
    alone = all(len(unit) == 1 for unit in units)
    rows = np.concatenate(units)

    def of(drawn: Any) -> Any:
        return statistic(rows[drawn] if alone else np.concatenate([units[unit] for unit in drawn]))

    result = stats.bootstrap(
        (np.arange(len(units)),),
        of,
        n_resamples=settings.resamples,
        confidence_level=settings.confidence,
        method="percentile",
        vectorized=False,
        rng=np.random.default_rng(seed),
    )
    return result.confidence_interval.low, result.confidence_interval.high


def _beside(
    test: Callable[..., dict[str, Any]], references: Any, systems: Systems, **options: Any
) -> dict[str, Any]:
    """`tuned` with each other system, row by row."""
    tuned = systems["tuned"]
    return {
        name: test(references, tuned, rows, **options) for name, rows in systems.items() if name != "tuned"
    }


def judge_likelihood(
    references: Sequence[Mapping[str, Any]],
    systems: Systems,
    *,
    settings: Evaluate,
    seed: int,
    labels: Sequence[str],
    groups: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Loss per trained token and perplexity over the answers."""
    sums = {name: np.array([row["loss"] for row in rows]) for name, rows in systems.items()}
    counts = np.array([row["tokens"] for row in systems["tuned"]])
    units = _units(groups, len(counts))
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, losses in sums.items():

        def per_token(rows: Any, losses: Any = losses) -> float:
            return float(losses[rows].sum() / counts[rows].sum())

        low, high = _bootstrap(per_token, units, settings, seed)
        loss = {"value": per_token(np.arange(len(counts))), "low": float(low), "high": float(high)}
        found[name] = {"loss": loss, "perplexity": {k: paired.perplexity(v) for k, v in loss.items()}}
    return {
        "metrics": found,
        "comparisons": _beside(paired.likelihood, references, systems, groups=groups, seed=seed),
    }


JUDGES: dict[str, Judge] = {"labels": judge_labels, "likelihood": judge_likelihood}
