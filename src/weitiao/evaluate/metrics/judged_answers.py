"""How well rewards of single answers agree with whether people liked them, and how likely both kinds are.

AUC   share of (liked, not liked) pairs of answers of which the liked one has the larger reward; a tie counts half
gap   mean reward of liked answers - mean reward of the others
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Metric, Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import midranks, ratio
from weitiao.evaluate.metrics.auc import RocAuc

ONE_KIND = ("only one kind of answers", "只有一类回答")


def _liked(references: Told) -> Any:
    return np.array([bool(row["liked"]) for row in references], dtype=float)


@register("metric", "reward_auc")
@dataclass(frozen=True)
class RewardAuc(Metric):
    """How often a liked answer has a larger reward than one that was not liked."""

    summary: ClassVar[str] = (
        "share of liked answers that are rewarded more than others: area under the ROC curve"
    )
    source: ClassVar[str] = "sklearn.metrics.roc_auc_score"
    needs: ClassVar[tuple[str, ...]] = ("reward",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    undefined: ClassVar[tuple[str, str]] = ONE_KIND

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The rank of each reward, and 1 where the answer was liked: (N, 2)."""
        rewards = np.array([told["reward"] for told in predictions], dtype=float)
        return np.stack([midranks(rewards), _liked(references)], axis=1)

    def over(self, rows_NK: Any, weights_RN: Any) -> Any:
        """The area of each draw."""
        return RocAuc().over(rows_NK, weights_RN)

    def redrawn(self, rows_NK: Any, weights_RN: Any) -> Any:
        """A draw of one kind alone has the area of all rows."""
        return RocAuc().redrawn(rows_NK, weights_RN)


class _BySide(Summed):
    """A number of the answers, liked and not liked apart."""

    undefined: ClassVar[tuple[str, str]] = ONE_KIND

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The number and 1 where the answer was liked, then where it was not: (N, 4)."""
        found, liked = (
            np.array([told[self.needs[0]] for told in predictions], dtype=float),
            _liked(references),
        )
        return np.stack([found * liked, liked, found * (1 - liked), 1 - liked], axis=1)


@register("metric", "reward_gap")
@dataclass(frozen=True)
class RewardGap(_BySide):
    """By how much liked answers are rewarded more than others, on average."""

    summary: ClassVar[str] = "mean reward of liked answers less that of the others"
    source: ClassVar[str] = "Ethayarajh et al. 2024, arXiv 2402.01306"
    needs: ClassVar[tuple[str, ...]] = ("reward",)
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def value(self, sums_K: Any) -> Any:
        """The difference of both means."""
        return ratio(sums_K[..., 0], sums_K[..., 1]) - ratio(sums_K[..., 2], sums_K[..., 3])


@register("metric", "desirable_logp")
@dataclass(frozen=True)
class DesirableLogp(_BySide):
    """How likely liked answers are: where this falls while the gap grows, likelihood was displaced."""

    summary: ClassVar[str] = "mean log-probability of liked answers, in nats"
    source: ClassVar[str] = "Razin et al. 2024, arXiv 2410.08847"
    needs: ClassVar[tuple[str, ...]] = ("logp",)
    bounds: ClassVar[tuple[float, float]] = (-math.inf, 0.0)

    def value(self, sums_K: Any) -> Any:
        """Their mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])


@register("metric", "undesirable_logp")
@dataclass(frozen=True)
class UndesirableLogp(_BySide):
    """How likely answers are that were not liked."""

    summary: ClassVar[str] = "mean log-probability of answers that were not liked, in nats"
    source: ClassVar[str] = "Razin et al. 2024, arXiv 2410.08847"
    needs: ClassVar[tuple[str, ...]] = ("logp",)
    bounds: ClassVar[tuple[float, float]] = (-math.inf, 0.0)
    higher_is_better: ClassVar[bool] = False

    def value(self, sums_K: Any) -> Any:
        """Their mean."""
        return ratio(sums_K[..., 2], sums_K[..., 3])


@register("metric", "reference_kl")
@dataclass(frozen=True)
class ReferenceKl(Summed):
    """How much likelier than its reference the model finds answers to other prompts: how far it has moved."""

    summary: ClassVar[str] = "mean log-ratio to the reference of answers to other prompts, in nats"
    source: ClassVar[str] = "Ethayarajh et al. 2024, arXiv 2402.01306, equation 8"
    needs: ClassVar[tuple[str, ...]] = ("kl",)
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    ideal: ClassVar[float | None] = 0.0

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The log-ratio, and 1: (N, 2)."""
        found = np.array([told["kl"] for told in predictions], dtype=float)
        return np.stack([found, np.ones(len(found))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])


@register("metric", "answer_loss")
@dataclass(frozen=True)
class AnswerLoss(Summed):
    """The mean loss of the answers, as it is trained."""

    summary: ClassVar[str] = "mean loss of the judged answers"
    source: ClassVar[str] = "the formula of the task's loss_type"
    needs: ClassVar[tuple[str, ...]] = ("answer_loss",)
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    higher_is_better: ClassVar[bool] = False

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The loss, and 1: (N, 2)."""
        found = np.array([told["answer_loss"] for told in predictions], dtype=float)
        return np.stack([found, np.ones(len(found))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """Loss an answer."""
        return ratio(sums_K[..., 0], sums_K[..., 1])
