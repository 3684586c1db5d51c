"""What one number does not say of labels and spans: which is taken for which, and how each class does.

references, predictions, labels  ->  of_labels  ->  {"confusion": {...}, "per_class": [...]}
references, predictions, labels  ->  of_label_sets  ->  {"per_class": [...]}
references, predictions, types   ->  of_spans   ->  {"per_class": [...]}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weitiao.core.contracts import Told
from weitiao.evaluate.arrays import indices, marks, ratio
from weitiao.evaluate.metrics.spans import counts


def of_labels(references: Told, predictions: Told, labels: Sequence[str]) -> dict[str, Any]:
    """Confusion matrix (true label by predicted one) and a table by class; empty for rows without a label each."""
    if not labels or not references or "label" not in references[0]:
        return {}
    true, said = indices(references, labels), indices(predictions, labels)
    matrix = np.zeros((len(labels), len(labels)), dtype=int)
    known = (true >= 0) & (said >= 0)
    np.add.at(matrix, (true[known], said[known]), 1)
    hit, all_said = matrix.diagonal(), np.bincount(said[said >= 0], minlength=len(labels))
    support = np.bincount(true[true >= 0], minlength=len(labels))
    return {
        "confusion": {"labels": list(labels), "matrix": matrix.tolist()},
        "per_class": _by_class(labels, hit, all_said, support),
    }


def of_label_sets(references: Told, predictions: Told, labels: Sequence[str]) -> dict[str, Any]:
    """A table by label; empty for rows without a list of labels each."""
    if not references or "labels" not in references[0]:
        return {}
    true, said = marks(references, labels), marks(predictions, labels)
    hit, all_said, support = (part.sum(0).astype(int) for part in (true * said, said, true))
    return {"per_class": _by_class(labels, hit, all_said, support)}


def of_spans(references: Told, predictions: Told, types: Sequence[str]) -> dict[str, Any]:
    """A table by type; empty for rows without spans."""
    if not references or "spans" not in references[0]:
        return {}
    hit, said, true = counts(references, predictions, types).sum(1)[:, : len(types)].astype(int)
    return {"per_class": _by_class(types, hit, said, true)}


def _by_class(labels: Sequence[str], hit: Any, said: Any, true: Any) -> list[dict[str, Any]]:
    columns = ratio(hit, said), ratio(hit, true), ratio(2 * hit, said + true)
    each = zip(labels, *(np.nan_to_num(column).tolist() for column in columns), true.tolist(), strict=True)
    return [dict(zip(("label", "precision", "recall", "f1", "support"), row, strict=True)) for row in each]
