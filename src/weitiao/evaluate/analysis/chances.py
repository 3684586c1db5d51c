"""What rows say of labels, as what is chosen by it reads them: a probability for each, and which are true.

rows, what was said, labels  ->  Chances.of  ->  Chances(scores (N, C), true (N, C), several)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weitiao.core.contracts import Told
from weitiao.core.why import reason
from weitiao.evaluate.arrays import marks, scores

FEWEST = 20
"""Validation rows without which nothing is chosen."""


@dataclass(frozen=True)
class Chances:
    """Probabilities of labels."""

    scores: Any
    """Of each label in each row (N, C)."""
    true: Any
    """1 where the row carries the label (N, C), else 0; a row may carry a label that is none of these."""
    several: bool
    """May a row carry several labels, or none?"""

    @classmethod
    def of(cls, rows: Told, told: Told, labels: Sequence[str]) -> Chances:
        """Those of rows whose predictions hold `scores`."""
        return cls(
            scores(told, labels).reshape(len(rows), len(labels)), marks(rows, labels), "labels" in told[0]
        )

    @property
    def known(self) -> Any:
        """Rows whose label is among these (N,)."""
        return np.ones(len(self.true), dtype=bool) if self.several else self.true.sum(1) == 1


def lacking(validation: Sequence[Mapping[str, Any]], told: Told, labels: Sequence[str]) -> str:
    """Why nothing can be chosen; empty where it can.

    Args:
        validation: the lines of the validation rows.
        told: what the tuned model says of the test rows.
        labels: that the model knows.
    """
    if why := unscored(told, labels):
        return why
    if len(validation) < FEWEST:
        return reason("few_validation_rows", rows=len(validation), fewest=FEWEST)
    return ""


def unscored(told: Told, labels: Sequence[str]) -> str:
    """Why predictions have no probability of every label; empty where they have."""
    scored = labels and all(isinstance(one.get("scores"), Mapping) for one in told)
    return "" if scored else reason("no_scores")
