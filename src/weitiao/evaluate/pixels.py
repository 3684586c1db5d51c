"""Pixels by their true label and by what a system says  ->  how many of each, picture by picture.

references, predictions (`mask` of each), labels  ->  counted  ->  (N, C, C), whole numbers: true label, then said label

Pixels of which nothing is known count for nothing; one that a system says nothing of is in no column, so that a true label has
pixels beside its row's sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weitiao.core.contracts import Told
from weitiao.data.pictures.masks import placed


def counted(references: Told, predictions: Told, labels: Sequence[str]) -> Any:
    """Pixels of each true and each said label, and in the last column those of which nothing is said: (N, C, C + 1)."""
    size = len(labels)
    found = np.zeros((len(references), size, size + 1), dtype=np.int64)
    for row, (there, told) in enumerate(zip(references, predictions, strict=True)):
        true_HW, said_HW = placed(there["mask"], labels), placed(told["mask"], labels)
        known_HW = true_HW >= 0
        said = np.where(said_HW >= 0, said_HW, size)[known_HW]
        pairs = np.bincount(true_HW[known_HW] * (size + 1) + said, minlength=size * (size + 1))
        found[row] = pairs.reshape(size, size + 1)
    return found


def sides(references: Told, predictions: Told, labels: Sequence[str]) -> Any:
    """Pixels that are right, said and true of each label, side by side: (N, 3C)."""
    counts_NCD = counted(references, predictions, labels)
    hit = np.diagonal(counts_NCD, axis1=1, axis2=2)
    return np.concatenate([hit, counts_NCD[..., :-1].sum(1), counts_NCD.sum(2)], axis=1).astype(float)
