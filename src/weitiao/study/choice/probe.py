"""A linear head on frozen features, learnt on some folds and judged on the others as a tuned model would be.

    vectors, targets  ->  scores  ->  the task's own predictions  ->  its first metric, fold by fold

Labels: logistic regression, its `C` chosen on a fifth of the rows that it learns from; several labels: one such a label;
numbers: ridge regression, its strength chosen by leaving rows out.  The features are set to mean 0 and spread 1 by the rows
that are learnt from.  What is said of a row is made of the scores by the task itself, and so is the number of a fold.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from weitiao.core.contracts import Baseline, Batch, Example, Metric, Record, Task
from weitiao.evaluate import judge
from weitiao.study.choice.features import places

COSTS = (0.01, 0.1, 1.0)
"""`C` of the regression."""
PART = 5
"""One row in so many chooses it."""
ALPHAS = tuple(10.0**power for power in range(-1, 6))
"""Strength of the ridge."""
MOST_STEPS = 300
RARE = "The number of unique classes"
"""How scikit-learn begins to say that most labels come once."""
UNSEEN = -30.0
"""The score of a label that no row of those that are learnt from has."""

Scores = Callable[[Any], Any]
"""Vectors (M, D) in, scores (M, K) out."""


class _Says(nn.Module):
    """Stands where a model does, and says what it was given."""

    def __init__(self, scores: Any):
        super().__init__()
        self.scores = scores

    def forward(self, **inputs: Any) -> Any:
        return SimpleNamespace(logits=self.scores)


def folds_of(
    task: Task,
    metric: Metric,
    records: Sequence[Record],
    examples: Sequence[Example],
    vectors_MD: Any,
    owner_M: Any,
    fold_N: Any,
    *,
    only: int | None = None,
) -> list[float | None]:
    """The metric of each fold, said by a head that was learnt on all the others.

    Args:
        task: with what the rows taught it.
        metric: of its predictions.
        records: the rows.
        examples: the same, encoded.
        vectors_MD: what the base sees.
        owner_M: the row of each vector.
        fold_N: the fold of each row; -1 for one that takes no part.
        only: of this fold alone.
    """
    found = []
    for fold in range(int(fold_N.max()) + 1) if only is None else [only]:
        rows = np.flatnonzero(fold_N == fold).tolist()
        others = np.flatnonzero((fold_N != fold) & (fold_N >= 0)).tolist()
        learnt = task.learn_training([examples[row] for row in others], None)
        targets = targets_of(learnt, [examples[row] for row in others])
        scores = head(vectors_MD[np.isin(owner_M, others)], targets)
        own = np.isin(owner_M, rows)
        told = learnt.predict(_Says(_shaped(task, scores(vectors_MD[own]))), _bare(task, examples, rows))
        found.append(value(task, metric, [records[row] for row in rows], told))
    return found


def value(
    task: Task, metric: Metric, records: Sequence[Record], told: Sequence[dict[str, Any]]
) -> float | None:
    """The metric of what was said of rows, as a judged run has it; None where it is not defined."""
    shown: list[Mapping[str, Any]] = [
        task.shown(record, one) for record, one in zip(records, told, strict=True)
    ]
    if metric.lacks(shown[0]):
        return None
    expected = [task.reference(record) for record in records]
    found = judge.value(metric, np.asarray(metric.rows(expected, shown, task.classes())))
    return found if np.isfinite(found) else None


def beside(
    baseline: Baseline,
    task: Task,
    metric: Metric,
    records: Sequence[Record],
    fold_N: Any,
    *,
    learnt: Sequence[Record] = (),
) -> list[float | None]:
    """The same of a baseline, on the same folds; it may learn from other answers than it is judged by."""
    found = []
    for fold in range(int(fold_N.max()) + 1):
        known = [(learnt or records)[row] for row in np.flatnonzero(fold_N != fold).tolist()]
        asked = [records[row] for row in np.flatnonzero(fold_N == fold).tolist()]
        with warnings.catch_warnings():  # that hardly any label comes twice is told (`instead`)
            warnings.filterwarnings("ignore", RARE, UserWarning)
            found.append(value(task, metric, asked, baseline.fit(known, task.shape)(asked)))
    return found


def targets_of(task: Task, examples: Sequence[Example]) -> Any:
    """What a head is to give: classes (M,), labels (M, K) of 0 and 1, or numbers (M,), in the units of the model."""
    if task.shape.name == "tagged":
        return np.concatenate([np.asarray(one.target)[places(one)] for one in examples])
    found: Any = task.stacked([one.target for one in examples])  # type: ignore[attr-defined]
    return found.numpy()


def columns(targets: Any) -> Any:
    """Targets as columns (M, K) of numbers: one a class."""
    if targets.dtype.kind in "iu" and targets.ndim == 1:
        return np.eye(int(targets.max()) + 1)[targets]
    return targets.reshape(len(targets), -1)


def head(vectors_MD: Any, targets: Any) -> Scores:
    """A linear head, learnt."""
    centre_D, scale_D = vectors_MD.mean(0), vectors_MD.std(0) + 1e-6

    def even(some_MD: Any) -> Any:
        return ((some_MD - centre_D) / scale_D).astype(np.float64)

    learnt = _head(even(vectors_MD), targets)
    return lambda some_MD: learnt(even(some_MD))


def _head(even_MD: Any, targets: Any) -> Scores:
    from sklearn.linear_model import RidgeCV

    if targets.dtype.kind in "iu" and targets.ndim == 1:
        return _classes(even_MD, targets)
    if targets.ndim == 2 and set(np.unique(targets)) <= {0, 1}:
        each = [_classes(even_MD, column.astype(int), count=2) for column in targets.T]
        return lambda some_MD: np.stack([(one(some_MD) @ [-1, 1]) for one in each], 1)
    model = RidgeCV(ALPHAS).fit(even_MD, targets)
    return lambda some_MD: np.asarray(model.predict(some_MD)).reshape(len(some_MD), -1)


def _classes(even_MD: Any, targets: Any, *, count: int = 0) -> Scores:
    """Logistic regression; scores of all classes up to the largest, or of `count`."""
    count = count or int(targets.max()) + 1
    known = np.unique(targets)

    def spread(said_MK: Any) -> Any:
        found_MK = np.full((len(said_MK), count), UNSEEN)
        found_MK[:, known] = said_MK
        return found_MK

    if len(known) == 1:
        return lambda some_MD: spread(np.zeros((len(some_MD), 1)))
    chooses = np.arange(len(targets)) % PART == 0
    worth = dict.fromkeys(COSTS, 0.0)
    if len(np.unique(targets[~chooses])) > 1:
        worth = {
            cost: _logistic(even_MD[~chooses], targets[~chooses], cost).score(
                even_MD[chooses], targets[chooses]
            )
            for cost in COSTS
        }
    model = _logistic(even_MD, targets, max(COSTS, key=worth.__getitem__))
    return lambda some_MD: spread(model.predict_log_proba(some_MD))


def _logistic(even_MD: Any, targets: Any, cost: float) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():  # a probe need not be solved to the last digit
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", RARE, UserWarning)
        return LogisticRegression(C=cost, max_iter=MOST_STEPS).fit(even_MD, targets)


def _shaped(task: Task, scores_MK: Any) -> Any:
    """As the model of this task would say them; labels that come behind the last one known have none."""
    wanted = len(task.model_options().get("id2label", ())) or scores_MK.shape[1]
    if wanted > scores_MK.shape[1]:
        missing = np.full((len(scores_MK), wanted - scores_MK.shape[1]), UNSEEN)
        scores_MK = np.concatenate([scores_MK, missing], 1)
    found = torch.from_numpy(scores_MK).float()
    return found[None] if task.shape.name == "tagged" else found


def _bare(task: Task, examples: Sequence[Example], rows: Any) -> Batch:
    """Rows without their inputs: what they are asked is said already."""
    extra: dict[str, Any] = {}
    if task.shape.name == "tagged":
        first = [np.asarray(examples[row].inputs["first"]) for row in rows]
        extra = {"first": first, "places": torch.arange(sum(len(places(examples[row])) for row in rows))}
    return Batch({}, None, trained=len(rows), rows=list(rows), tokens=0, padding=0, extra=extra)
