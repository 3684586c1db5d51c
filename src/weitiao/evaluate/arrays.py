"""What rows say of labels, as arrays for metrics.

[{"label": "b"}, ...], ("a", "b")  ->  indices  ->  [1, ...]
                                   ->  marks    ->  [[0, 1], ...]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from weitiao.core.contracts import Told


def indices(told: Told, labels: Sequence[str]) -> Any:
    """Which label each row has (N,); -1 for one that is none of them."""
    place = {label: number for number, label in enumerate(labels)}
    return np.array([place.get(row["label"], -1) for row in told], dtype=np.int64)


def marks(told: Told, labels: Sequence[str]) -> Any:
    """Which labels each row has (N, C), 1 or 0: its `labels`, where it has several, or its `label`."""
    found = np.zeros((len(told), len(labels)))
    if told and "labels" in told[0]:
        place = {label: number for number, label in enumerate(labels)}
        for row, each in enumerate(told):
            found[row, [place[label] for label in each["labels"] if label in place]] = 1
        return found
    which = indices(told, labels)
    known = np.flatnonzero(which >= 0)
    found[known, which[known]] = 1
    return found


def scores(told: Told, labels: Sequence[str]) -> Any:
    """The score of each label in each row (N, C); 0 for one that the system does not know."""
    return np.array([[row["scores"].get(label, 0.0) for label in labels] for row in told], dtype=float)


def of_found(predictions: Told, worth: Callable[[Mapping[str, Any]], float]) -> Any:
    """What each search was worth, and 1 (N, 2); 0 and 0 of one for which nothing is right: it counts for nothing.

    Args:
        predictions: with the `ranks` of what is right, best first.
        worth: of one of them.
    """
    return np.array([[worth(told), 1.0] if told["ranks"] else [0.0, 0.0] for told in predictions]).reshape(
        -1, 2
    )


def ratio(above: Any, below: Any) -> Any:
    """above / below; nan where both are 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(above, dtype=float) / below


def over_classes(
    sums_K: Any, each: Callable[[Any, Any, Any], Any], *, micro: bool = False, weighted: bool = False
) -> Any:
    """A score of classes as one number (...), from hit, said and true of each, side by side (..., 3C).

    Args:
        sums_K: the sums.
        each: the score of every class from its hit, said and true; 0 stands for 0/0.
        micro: of all classes together, not the mean over those that occur.
        weighted: they count by how often they are true.
    """
    hit, said, true = np.split(np.asarray(sums_K, dtype=float), 3, axis=-1)
    if micro:
        hit, said, true = (part.sum(-1, keepdims=True) for part in (hit, said, true))
    weight = true if weighted else (said + true > 0).astype(float)
    return ratio((np.nan_to_num(each(hit, said, true)) * weight).sum(-1), weight.sum(-1))


def imagined_of_classes(sums_UK: Any) -> Any:
    """For each class a unit that is found, one that is missed, and one that is falsely said: (3C, 3C), sparse.

    What three rows of a class that are all right (or all wrong) tell of others is not that all of them are.

    Args:
        sums_UK: hit, said and true of each class, side by side, unit by unit.
    """
    from scipy import sparse

    _, said, true = np.split(np.asarray(sums_UK, dtype=float), 3, axis=-1)
    most = np.maximum(said, true)
    # As large as the units that hold the class; a class that nobody named and no row has is none.
    one = sparse.diags_array(np.nan_to_num(ratio(most.sum(0), (most > 0).sum(0))))
    return sparse.block_array([[one, one, one], [None, None, one], [None, one, None]], format="csr")


def numbers(told: Told) -> Any:
    """The number of each row (N,)."""
    return np.array([row["number"] for row in told], dtype=float)


def midranks(values_N: Any) -> Any:
    """Ranks from 1; equal values have the mean of theirs."""
    _, place, counts = np.unique(values_N, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def confusion(references: Told, predictions: Told, labels: Sequence[str]) -> Any:
    """How often each true label (rows) was given each label (columns), (C, C), whole numbers."""
    true, said = indices(references, labels), indices(predictions, labels)
    counts = np.zeros((len(labels), len(labels)), dtype=int)
    known = (true >= 0) & (said >= 0)
    np.add.at(counts, (true[known], said[known]), 1)
    return counts
