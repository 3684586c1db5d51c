"""How far a model is from its teacher, word by word.

teacher divergence = sum over tokens of the divergence of both distributions / tokens
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import ratio


@register("metric", "teacher_divergence")
@dataclass(frozen=True)
class TeacherDivergence(Summed):
    """By how much the model's distributions of the next word differ from its teacher's, over the words of right answers."""

    summary: ClassVar[str] = "mean divergence from the teacher at each learnt token, in nats"
    source: ClassVar[str] = "Agarwal et al. 2023, arXiv 2306.13649"
    needs: ClassVar[tuple[str, ...]] = ("divergence", "tokens")
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    higher_is_better: ClassVar[bool] = False
    undefined: ClassVar[tuple[str, str]] = ("the divergence is not a finite number", "散度不是有限数")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Summed divergence, and tokens: (N, 2)."""
        found = [[told["divergence"], told["tokens"]] for told in predictions]
        return np.array(found, dtype=float).reshape(-1, 2)

    def value(self, sums_K: Any) -> Any:
        """Nats a token."""
        return ratio(sums_K[..., 0], sums_K[..., 1])
