"""How well a model prefers the answers that people chose, and how likely it finds both sides.

margin = reward of chosen - reward of rejected      preference accuracy = pairs with margin > 0 / pairs; of 0 a half counts

What a reward is says the task: with a reference beta (log pi(y) - log ref(y)), which is 0 before anything is learnt.
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


class _Mean(Summed):
    """The mean of one number a row."""

    def each(self, told: Any) -> float:
        """The number."""
        return float(told[self.needs[0]])

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The number, and 1: (N, 2)."""
        found = np.array([self.each(told) for told in predictions], dtype=float)
        return np.stack([found, np.ones(len(found))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])


@register("metric", "preference_accuracy")
@dataclass(frozen=True)
class PreferenceAccuracy(_Mean):
    """The share of pairs whose chosen answer is preferred; where neither is, it counts half."""

    summary: ClassVar[str] = "share of pairs whose chosen answer has the larger reward"
    source: ClassVar[str] = "Rafailov et al. 2023, arXiv 2305.18290"
    needs: ClassVar[tuple[str, ...]] = ("preferred",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    proportion: ClassVar[bool] = True


@register("metric", "reward_margin")
@dataclass(frozen=True)
class RewardMargin(_Mean):
    """By how much the reward of the chosen answer is larger than that of the rejected one."""

    summary: ClassVar[str] = "mean of the chosen answer's reward less the rejected one's"
    source: ClassVar[str] = "Rafailov et al. 2023, arXiv 2305.18290"
    needs: ClassVar[tuple[str, ...]] = ("margin",)
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)


@register("metric", "likelier_chosen")
@dataclass(frozen=True)
class LikelierChosen(_Mean):
    """The share of pairs whose chosen answer is the likelier one to the model itself; of equal ones a half."""

    summary: ClassVar[str] = "share of pairs whose chosen answer is likelier than the rejected one"
    source: ClassVar[str] = "Chen et al. 2024, arXiv 2405.19534"
    needs: ClassVar[tuple[str, ...]] = ("chosen_logp", "rejected_logp")
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def each(self, told: Any) -> float:
        """1, 0, or a half."""
        return float(np.sign(told["chosen_logp"] - told["rejected_logp"]) + 1) / 2


@register("metric", "chosen_logp")
@dataclass(frozen=True)
class ChosenLogp(_Mean):
    """How likely the chosen answers are: where this falls while the margin grows, likelihood was displaced."""

    summary: ClassVar[str] = "mean log-probability of the chosen answers, in nats"
    source: ClassVar[str] = "Razin et al. 2024, arXiv 2410.08847"
    needs: ClassVar[tuple[str, ...]] = ("chosen_logp",)
    bounds: ClassVar[tuple[float, float]] = (-math.inf, 0.0)


@register("metric", "rejected_logp")
@dataclass(frozen=True)
class RejectedLogp(_Mean):
    """How likely the rejected answers are."""

    summary: ClassVar[str] = "mean log-probability of the rejected answers, in nats"
    source: ClassVar[str] = "Razin et al. 2024, arXiv 2410.08847"
    needs: ClassVar[tuple[str, ...]] = ("rejected_logp",)
    bounds: ClassVar[tuple[float, float]] = (-math.inf, 0.0)
    higher_is_better: ClassVar[bool] = False


@register("metric", "pair_loss")
@dataclass(frozen=True)
class PairLoss(_Mean):
    """The mean loss of the pairs, as it is trained."""

    summary: ClassVar[str] = "mean loss of the pairs"
    source: ClassVar[str] = "the formula of the task's loss_type"
    needs: ClassVar[tuple[str, ...]] = ("pair_loss",)
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    higher_is_better: ClassVar[bool] = False
