"""Scores of labels that the training chooses by and the judge reports: said once.

macro_scores(truth, guess, classes)  ->  precision, recall, F1
"""

from __future__ import annotations

from typing import Any


def macro_scores(truth: Any, guess: Any, classes: int) -> Any:
    """Macro precision, recall and F1 as scikit-learn gives them, fast enough for a bootstrap: (3,).

    The mean is over the classes that occur, in truth or prediction; 0 stands for 0/0 in them.

    Args:
        truth: class indices (N,).
        guess: class indices (N,).
        classes: how many there are.
    """
    import numpy as np

    counts = np.bincount(truth * classes + guess, minlength=classes * classes).reshape(classes, classes)
    hit, said, true = counts.diagonal(), counts.sum(0), counts.sum(1)
    with np.errstate(invalid="ignore"):
        scores = np.stack([hit / said, hit / true, 2 * hit / (said + true)])
    return np.nan_to_num(scores)[:, said + true > 0].mean(1)
