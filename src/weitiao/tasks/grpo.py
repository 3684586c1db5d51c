"""Group relative policy optimisation: of several answers to one prompt those above the group's mean become likelier.

    {"prompt": [user], ...}  ->  {"answer": "4", "reward": 1.0, ...}

Its kin are settings: DAPO (`epsilon_high`), Dr. GRPO (`loss_type: dr_grpo`, `scale_rewards: none`), GSPO
(`importance_sampling_level: sequence`, `loss_type: grpo`).  The formulas: `tasks.parts.policy_losses`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from weitiao.core.contracts import Batch, Heard, Voice
from weitiao.core.registry import register
from weitiao.tasks.parts.groups import Grouped
from weitiao.tasks.parts.policy_losses import (
    BY_TOKENS,
    Kind,
    Level,
    Scale,
    clipped,
    divergence,
    group_advantages,
    per_row,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


@register("task", "grpo")
@dataclass(frozen=True)
class GroupRelativePolicyOptimization(Grouped):
    """Answer so that it is rewarded, by groups of answers."""

    beta: Annotated[float, Field(ge=0)] = 0.0
    """How strongly the model is held to its reference: the weight of the divergence at each token.  0: no reference."""
    loss_type: Kind = "dapo"
    """Over what the loss is a mean: dapo (tokens of all answers; bnpo is the same here), grpo (answers, and the tokens of each),
    dr_grpo (answers, each divided by `max_completion_length`)."""
    scale_rewards: Scale = "group"
    """What advantages are divided by: the spread of their group, that of the rollout (batch), or nothing (none)."""
    importance_sampling_level: Level = "token"
    """Has every token a ratio of its own, or the whole answer one (sequence: GSPO)?"""

    summary: ClassVar[str] = "answer so that it is rewarded (GRPO, DAPO, Dr. GRPO, GSPO)"
    training_only: ClassVar[tuple[str, ...]] = (
        *(name for name in Grouped.__dataclass_fields__ if name != "split_special_tokens"),
        "beta",
        "loss_type",
        "scale_rewards",
        "importance_sampling_level",
    )

    @property
    def asks(self) -> tuple[Voice, ...]:
        """The policy where its answers are learnt from more than once, the reference where it has a weight."""
        policy: tuple[Voice, ...] = ("policy",) if self.num_iterations > 1 else ()
        return (*policy, "reference") if self.beta else policy

    def counts(self, tokens: int) -> int:
        """Tokens, or the answer."""
        return tokens if self.loss_type in BY_TOKENS else 1

    def advantages(self, worth_PG: np.ndarray, heard: Heard) -> np.ndarray:
        """Over the group's mean."""
        return group_advantages(worth_PG, self.scale_rewards)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Summed as `loss_type` counts."""
        said = self.spoken(model, batch)
        owner_N, rows, tokens_B = said.owner_N, batch.extra["rows"], said.tokens_B.clamp(min=1)
        log_ratios_N = said.logps_N - said.old_N
        if self.importance_sampling_level == "sequence":
            log_ratios_N = (per_row(log_ratios_N, owner_N, rows) / tokens_B)[owner_N]
        high = self.epsilon if self.epsilon_high is None else self.epsilon_high
        losses_N, stopped_N = clipped(log_ratios_N, said.advantages_B[owner_N], low=self.epsilon, high=high)
        batch.told["clip_ratio"] = stopped_N.sum(), len(stopped_N)
        if said.reference_N is not None:
            apart_N = divergence(said.logps_N, said.reference_N)
            losses_N = losses_N + self.beta * apart_N
            batch.told["kl"] = apart_N.detach().sum(), len(apart_N)
        if self.loss_type == "grpo":
            losses_N = losses_N / tokens_B[owner_N]
        elif self.loss_type == "dr_grpo":
            losses_N = losses_N / self.max_completion_length
        return losses_N.sum()
