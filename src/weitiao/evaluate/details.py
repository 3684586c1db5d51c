"""What one number does not say of labels: which is taken for which, and how each class does.

references, predictions, labels  ->  of_labels  ->  {"confusion": {...}, "per_class": [...]}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weitiao.core.contracts import Told
from weitiao.evaluate.arrays import indices, ratio


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
    columns = ratio(hit, all_said), ratio(hit, support), ratio(2 * hit, all_said + support)
    each = zip(labels, *(np.nan_to_num(column).tolist() for column in columns), support.tolist(), strict=True)
    return {
        "confusion": {"labels": list(labels), "matrix": matrix.tolist()},
        "per_class": [
            dict(zip(("label", "precision", "recall", "f1", "support"), row, strict=True)) for row in each
        ],
    }
