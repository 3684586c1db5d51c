"""REINFORCE with the other answers as the baseline (RLOO): an answer becomes likelier by how much more it is worth than the
mean of the others to its prompt.

    {"prompt": [user], ...}  ->  {"answer": "4", "reward": 1.0, ...}

A whole answer is one action with one ratio, and the divergence from the reference is part of its reward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Batch, Heard, Voice
from weitiao.core.registry import register
from weitiao.tasks.parts.groups import Grouped
from weitiao.tasks.parts.policy_losses import clipped, leave_one_out, per_row

if TYPE_CHECKING:
    from torch import Tensor, nn


@register("task", "rloo")
@dataclass(frozen=True)
class ReinforceLeaveOneOut(Grouped):
    """Answer so that it is rewarded, each answer against the others."""

    num_generations: Annotated[int, Field(ge=2)] = 2
    """Answers that are drawn to each prompt."""
    beta: Annotated[float, Field(ge=0)] = 0.05
    """How much the divergence of an answer from the reference takes from its reward.  0: no reference."""
    normalize_advantages: bool = False
    """Are advantages brought to mean 0 and spread 1 over the rollout?"""

    summary: ClassVar[str] = "answer so that it is rewarded (REINFORCE, leave one out)"
    training_only: ClassVar[tuple[str, ...]] = (
        *(name for name in Grouped.__dataclass_fields__ if name != "split_special_tokens"),
        "beta",
        "normalize_advantages",
    )

    @property
    def asks(self) -> tuple[Voice, ...]:
        """Both where the divergence counts; else the policy where its answers are learnt from more than once."""
        if self.beta:
            return ("policy", "reference")
        return ("policy",) if self.num_iterations > 1 else ()

    def counts(self, tokens: int) -> int:
        """The answer."""
        return 1

    def advantages(self, worth_PG: np.ndarray, heard: Heard) -> np.ndarray:
        """Over the mean of the others, rewards less the divergence."""
        if self.beta:
            apart = [
                sum(policy["logps"]) - sum(reference["logps"])
                for policy, reference in zip(heard["policy"], heard["reference"], strict=True)
            ]
            worth_PG = worth_PG - self.beta * np.array(apart).reshape(worth_PG.shape)
        return leave_one_out(worth_PG, normalize=self.normalize_advantages)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """One an answer, summed."""
        said = self.spoken(model, batch)
        log_ratios_B = per_row(said.logps_N - said.old_N, said.owner_N, batch.extra["rows"])
        high = self.epsilon if self.epsilon_high is None else self.epsilon_high
        losses_B, stopped_B = clipped(log_ratios_B, said.advantages_B, low=self.epsilon, high=high)
        batch.told["clip_ratio"] = stopped_B.sum(), len(stopped_B)
        if said.reference_N is not None:
            batch.told["kl"] = (said.old_N - said.reference_N).sum(), len(said.old_N)
        # An answer of which nothing counts has a ratio of 1 and no gradient; it adds nothing to what is logged either.
        return losses_B[said.tokens_B > 0].sum()
