"""What a model's own answers are worth, where rewards say so, and how long they are.

reward         the mean of the rewards                 missed_reward   the same, less: what learning makes small
win_rate       the share of prompts to which the answer is worth more than the untuned model's; of equal ones a half
answer_length  tokens an answer has                     cut_answers     the share that did not come to their end
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
    """The mean of one number a row; rows that do not say it count for nothing."""

    def each(self, told: Any) -> float:
        """The number."""
        return float(told.get(self.needs[-1], math.nan))

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The number, and 1: (N, 2)."""
        found = np.array([self.each(told) for told in predictions], dtype=float)
        there = np.isfinite(found)
        return np.stack([np.where(there, found, 0.0), there.astype(float)], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])


@register("metric", "reward")
@dataclass(frozen=True)
class MeanReward(_Mean):
    """What answers are worth."""

    summary: ClassVar[str] = "mean reward of the answers"
    source: ClassVar[str] = "the rewards of the task"
    needs: ClassVar[tuple[str, ...]] = ("answer", "reward")


@register("metric", "missed_reward")
@dataclass(frozen=True)
class MissedReward(_Mean):
    """Less what answers are worth."""

    summary: ClassVar[str] = "the mean reward with its sign turned, as a loss"
    source: ClassVar[str] = "the rewards of the task"
    needs: ClassVar[tuple[str, ...]] = ("answer", "reward")
    higher_is_better: ClassVar[bool] = False

    def each(self, told: Any) -> float:
        """Less the reward."""
        return -float(told.get("reward", math.nan))


@register("metric", "win_rate")
@dataclass(frozen=True)
class WinRate(_Mean):
    """How often the answer is worth more than the untuned model's."""

    summary: ClassVar[str] = "share of prompts whose answer is worth more than the untuned one"
    source: ClassVar[str] = "Ouyang et al. 2022, arXiv 2203.02155 (here by the rewards of the task)"
    needs: ClassVar[tuple[str, ...]] = ("answer", "won")
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)


@register("metric", "answer_length")
@dataclass(frozen=True)
class AnswerLength(_Mean):
    """How long answers are: neither more nor less is better, and a drift shows."""

    summary: ClassVar[str] = "mean length of the answers, in tokens"
    source: ClassVar[str] = "TRL's completions/mean_length"
    needs: ClassVar[tuple[str, ...]] = ("answer", "answer_tokens")
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    graded: ClassVar[bool] = False


@register("metric", "cut_answers")
@dataclass(frozen=True)
class CutAnswers(_Mean):
    """The share of answers that did not come to their end."""

    summary: ClassVar[str] = "share of answers that were cut at the longest allowed"
    source: ClassVar[str] = "TRL's completions/clipped_ratio"
    needs: ClassVar[tuple[str, ...]] = ("answer", "ending")
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def each(self, told: Any) -> float:
        """1 or 0."""
        return float(told["ending"] != "end") if "ending" in told else math.nan
