"""Learning from rewards by groups: several answers to one prompt, each worth more or less than the others.

    answers, rewards (P prompts, G answers)  ->  an advantage an answer  ->  examples, and facts for the log

What `grpo` and `rloo` share beside `tasks.parts.policy`; what they make of it is a formula of numbers an answer
(`tasks.parts.policy_losses`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Batch, Drawn, Heard, Rollout
from weitiao.data.chat import IGNORE
from weitiao.tasks.parts import packed
from weitiao.tasks.parts.policy import LOGPS, Policy, numbers
from weitiao.tasks.parts.policy_losses import without_spread

if TYPE_CHECKING:
    from torch import Tensor, nn

ADVANTAGE = "advantage"


@dataclass(frozen=True)
class Spoken:
    """What a loss goes by: tokens of answers, and what is known of them."""

    logps_N: Tensor
    """Log-probabilities of the answers' tokens, with a gradient."""
    old_N: Tensor
    """The same when they were drawn."""
    owner_N: Tensor
    """Whose they are."""
    advantages_B: Tensor
    tokens_B: Tensor
    """Tokens of each answer that count."""
    reference_N: Tensor | None
    """The same as a reference says it."""


@dataclass(frozen=True)
class Grouped(Policy):
    """A task that learns from groups of answers; what their advantages and its loss are, says a subclass."""

    num_generations: Annotated[int, Field(ge=2)] = 8
    """Answers that are drawn to each prompt."""
    max_completion_length: Annotated[int, Field(ge=1)] = 256
    """Longest answer, in tokens."""
    epsilon: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """How far below 1 the ratio of new to old probability may fall before it stops to count."""
    epsilon_high: Annotated[float, Field(gt=0)] | None = None
    """How far above 1 it may rise (DAPO: 0.28).  Default: `epsilon`."""
    num_iterations: Annotated[int, Field(ge=1)] = 1
    """Optimiser steps on each rollout; with 1 the ratio is 1."""
    max_resample_times: Annotated[int, Field(ge=0)] = 0
    """How often the answers to a prompt are drawn anew, at most, while all are worth the same (DAPO's dynamic sampling, under
    ms-swift's name).  0: never."""
    mask_truncated_completions: bool = False
    """Do answers that did not come to their end count for nothing in the loss?"""

    @property
    def draws(self) -> int:
        """`num_generations`."""
        return self.num_generations

    @property
    def passes(self) -> int:
        """`num_iterations`."""
        return self.num_iterations

    @property
    def redraws(self) -> int:
        """`max_resample_times`."""
        return self.max_resample_times

    def moot(self, rewards: Sequence[Mapping[str, float]]) -> bool:
        """Where all are worth the same."""
        return bool(without_spread(np.array([[one["reward"] for one in rewards]]))[0])

    @property
    def longest(self) -> int:
        """`max_completion_length`."""
        return self.max_completion_length

    def learnt(self, drawn: Sequence[Drawn], rewards: Sequence[Mapping[str, float]], heard: Heard) -> Rollout:
        """Every answer with its advantage; facts of the rollout."""
        worth_PG = np.array([one["reward"] for one in rewards]).reshape(-1, self.num_generations)
        advantages = self.advantages(worth_PG, heard).reshape(-1)
        examples = []
        for place, one in enumerate(drawn):
            row = self.written(one.prompt, one.ids, one.end)
            beside: dict[str, Any] = {LOGPS[voice]: each[place]["logps"] for voice, each in heard.items()}
            left_out = self.mask_truncated_completions and one.end is None
            if left_out:
                nothing = np.full_like(row.inputs["labels"], IGNORE)
                row = replace(row, inputs={**row.inputs, "labels": nothing})
                beside = dict.fromkeys(beside, ())
            beside[ADVANTAGE] = [advantages[place]]
            examples.append(self.numbered(row, beside, counts=not left_out))
        facts = {
            **self.facts(drawn, rewards),
            "reward_std": float(worth_PG.std(1, ddof=1).mean()),
            "frac_reward_zero_std": float(without_spread(worth_PG).mean()),
        }
        return Rollout(examples, facts)

    def imagined(self, tokens: int, place: int) -> dict[str, Any]:
        """Better and worse answers in turn."""
        even = np.zeros(tokens) - 1
        return {**{LOGPS[voice]: even for voice in self.asks}, ADVANTAGE: [1.0 - 2 * (place % 2)]}

    @abstractmethod
    def advantages(self, worth_PG: np.ndarray, heard: Heard) -> np.ndarray:
        """Of each answer (P, G)."""

    def spoken(self, model: nn.Module, batch: Batch) -> Spoken:
        """What the loss goes by."""
        import torch

        logps_N = -packed.token_losses(model, batch, temperature=self.temperature)
        owner_N = batch.extra["owner"].to(logps_N.device)
        known = numbers(batch, logps_N)
        batch.told["entropy"] = -logps_N.detach().sum(), len(logps_N)
        tokens_B = torch.bincount(owner_N, minlength=batch.extra["rows"])
        advantages_B = known.get(ADVANTAGE, logps_N.new_zeros(batch.extra["rows"]))
        old_N = known.get(LOGPS["policy"], logps_N.detach())
        return Spoken(logps_N, old_N, owner_N, advantages_B, tokens_B, known.get(LOGPS["reference"]))
