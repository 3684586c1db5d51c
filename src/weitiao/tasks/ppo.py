"""Proximal policy optimisation: every token of an answer becomes likelier by how much better it was than a value head thought.

    {"prompt": [user], ...}  ->  {"answer": "4", "reward": 1.0, ...}

    l_t = -min(r_t A_t, clip(r_t, 1 - cliprange, 1 + cliprange) A_t)                        Schulman et al. 2017, arXiv 1707.06347
          + vf_coef / 2 max((v_t - R_t)^2, (clip(v_t, v_old - cliprange_value, v_old + cliprange_value) - R_t)^2)

    r_t = exp(log pi(y_t) - log pi_old(y_t)); A_t, R_t and v_old are numbers of the rollout (`tasks.parts.returns`)

The loss is the mean over the tokens of all answers.  The value head reads the states that the policy's own tokens are predicted
from; it is trained beside what the method trains, and no part of the tuned model (`models.value_head`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Batch, Drawn, Heard, Record, Rollout, Sampling, Voice
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.tasks.parts import packed, returns
from weitiao.tasks.parts.policy import LOGPS, Policy, by_answer, numbers
from weitiao.tasks.parts.policy_losses import clipped, divergence, value_losses

if TYPE_CHECKING:
    from torch import Tensor, nn

VALUES, RETURNS, ADVANTAGES = "values", "returns", "advantages"


@register("task", "ppo")
@dataclass(frozen=True)
class ProximalPolicyOptimization(Policy):
    """Answer so that it is rewarded, token by token, against what a value head expects."""

    temperature: Annotated[float, Field(gt=0)] = 0.7
    """What scores are divided by before words are drawn; the loss goes by the same."""
    response_length: Annotated[int, Field(ge=1)] = 53
    """Longest answer, in tokens."""
    num_ppo_epochs: Annotated[int, Field(ge=1)] = 4
    """Optimiser steps on each rollout; each goes by all of it."""
    cliprange: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """How far from 1 the ratio of new to old probability may go before it stops to count."""
    cliprange_value: Annotated[float, Field(gt=0)] = 0.2
    """How far from its old value a value may go before it stops to count."""
    vf_coef: Annotated[float, Field(ge=0)] = 0.1
    """Weight of the value head's loss."""
    gamma: Annotated[float, Field(ge=0, le=1)] = 1.0
    """What a reward that comes one token later counts for."""
    lam: Annotated[float, Field(ge=0, le=1)] = 0.95
    """How far advantages go by the rewards that came (1) instead of by the next value (0)."""
    kl_coef: Annotated[float, Field(ge=0)] = 0.05
    """How strongly the model is held to its reference.  0: no reference."""
    kl_estimator: returns.Estimator = "k1"
    """How the divergence from the reference is estimated at a token: k1 (log pi - log ref) or k3 (never negative)."""
    kl_in: Literal["reward", "loss"] = "reward"
    """Is the divergence taken from the reward of its token, or added to the loss (there by k3 alone)?"""
    whiten_rewards: bool = False
    """Are the rewards of tokens brought to spread 1 over the rollout?  Advantages always are, and to mean 0."""
    missing_eos_penalty: Annotated[float, Field(gt=0)] | None = None
    """What is taken from the reward of an answer that did not come to its end."""

    summary: ClassVar[str] = "answer so that it is rewarded, with a value head (PPO)"
    reference_weight: ClassVar[str] = "kl_coef"
    says: ClassVar[tuple[str, ...]] = ("logps", VALUES)
    training_only: ClassVar[tuple[str, ...]] = (
        *(name for name in Policy.__dataclass_fields__ if name != "split_special_tokens"),
        "response_length",
        "num_ppo_epochs",
        "cliprange",
        "cliprange_value",
        "vf_coef",
        "gamma",
        "lam",
        "kl_coef",
        "kl_estimator",
        "kl_in",
        "whiten_rewards",
        "missing_eos_penalty",
    )

    @property
    def draws(self) -> int:
        """One answer to each prompt."""
        return 1

    @property
    def passes(self) -> int:
        """`num_ppo_epochs`."""
        return self.num_ppo_epochs

    @property
    def longest(self) -> int:
        """`response_length`."""
        return self.response_length

    @property
    def asks(self) -> tuple[Voice, ...]:
        """The policy, which has the value head; the reference where it has a weight."""
        return ("policy", "reference") if self.kl_coef else ("policy",)

    def counts(self, tokens: int) -> int:
        """Tokens."""
        return tokens

    def learn(self, records: Sequence[Record]) -> Sampling:
        """Nothing; but k1 has no gradient to hold a model by: that of a log-probability is 0 in the mean.

        Raises:
            WeitiaoError: `wrong_value`.
        """
        if self.kl_coef and self.kl_in == "loss" and self.kl_estimator != "k3":
            why = reason("k1_in_loss")
            raise fault("wrong_value", key="task.kl_estimator", value=self.kl_estimator, why=why)
        return super().learn(records)

    def extend(self, model: nn.Module) -> frozenset[str]:
        """The value head."""
        from weitiao.models import value_head

        return value_head.put(model)

    def scored(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """Under the temperature that they were drawn at; values where the model has a head for them."""
        from weitiao.models import value_head

        losses_N, states_ND = packed.losses_and_states(model, batch, temperature=self.temperature)
        told = {"logps": -losses_N}
        if value_head.there(model):
            told[VALUES] = value_head.values(model, states_ND)
        return by_answer(told, batch)

    def learnt(self, drawn: Sequence[Drawn], rewards: Sequence[Mapping[str, float]], heard: Heard) -> Rollout:
        """Every token with its advantage and its return."""
        old, values = (_of_each(heard["policy"], name) for name in self.says)
        reference = _of_each(heard["reference"], "logps") if "reference" in heard else None
        worth = self._worth(drawn, rewards, old, reference)
        scaled = returns.whitened(worth, shift=False) if self.whiten_rewards else worth
        gains = [
            returns.advantages(*each, gamma=self.gamma, lam=self.lam)
            for each in zip(scaled, values, strict=True)
        ]
        due = [gain + value for gain, value in zip(gains, values, strict=True)]
        told = {ADVANTAGES: returns.whitened(gains), RETURNS: due, VALUES: values, LOGPS["policy"]: old}
        if reference:
            told[LOGPS["reference"]] = reference
        rows = [self.written(one.prompt, one.ids, one.end) for one in drawn]
        examples = [
            self.numbered(row, {name: each[place] for name, each in told.items()})
            for place, row in enumerate(rows)
        ]
        explained = returns.explained(np.concatenate(values), np.concatenate(due))
        facts = {
            **self.facts(drawn, rewards),
            "reward_std": float(np.std([one["reward"] for one in rewards])),
            "rlhf_reward": float(np.mean([each.sum() for each in worth])),
            "value": float(np.concatenate(values).mean()),
            **({} if explained is None else {"explained_variance": explained}),
        }
        return Rollout(examples, facts)

    def _worth(
        self,
        drawn: Sequence[Drawn],
        rewards: Sequence[Mapping[str, float]],
        old: Sequence[np.ndarray],
        reference: Sequence[np.ndarray] | None,
    ) -> list[np.ndarray]:
        """The reward of each token."""
        if reference and self.kl_in == "reward":
            both = zip(old, reference, strict=True)
            worth = [-self.kl_coef * returns.apart(*each, self.kl_estimator) for each in both]
        else:
            worth = [np.zeros(len(each)) for each in old]
        for each, one, rated in zip(worth, drawn, rewards, strict=True):
            each[-1] += rated["reward"] - (self.missing_eos_penalty or 0.0) * (one.end is None)
        return worth

    def imagined(self, tokens: int, place: int) -> dict[str, Any]:
        """Tokens that were a little better than was thought, or worse."""
        even, names = np.ones(tokens), [LOGPS[voice] for voice in self.asks]
        return {
            **dict.fromkeys(names, -even),
            **{VALUES: 0 * even, RETURNS: even, ADVANTAGES: even - 2 * (place % 2)},
        }

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Summed over tokens."""
        from weitiao.models import value_head

        losses_N, states_ND = packed.losses_and_states(model, batch, temperature=self.temperature)
        logps_N, values_N = -losses_N, value_head.values(model, states_ND)
        known = numbers(batch, logps_N)
        batch.told["entropy"] = losses_N.detach().sum(), len(losses_N)
        if ADVANTAGES not in known:  # a prompt without an answer, as forecasts have it, says nothing
            return (logps_N + values_N).sum() * 0
        log_ratios_N = logps_N - known[LOGPS["policy"]]
        clip = self.cliprange
        losses_N, stopped_N = clipped(log_ratios_N, known[ADVANTAGES], low=clip, high=clip)
        errors_N, held_N = value_losses(values_N, known[VALUES], known[RETURNS], clip=self.cliprange_value)
        told = {
            "policy_loss": losses_N,
            "value_loss": errors_N,
            "clip_ratio": stopped_N,
            "value_clip_ratio": held_N,
            "approx_kl": log_ratios_N.square() / 2,
        }
        losses_N = losses_N + self.vf_coef * errors_N
        if (reference_N := known.get(LOGPS["reference"])) is not None:
            told["kl"] = apart_N = divergence(logps_N, reference_N)
            losses_N = losses_N + (self.kl_coef if self.kl_in == "loss" else 0.0) * apart_N
        batch.told.update({name: (each.detach().sum(), len(each)) for name, each in told.items()})
        return losses_N.sum()


def _of_each(answers: Sequence[Mapping[str, Sequence[float]]], name: str) -> list[np.ndarray]:
    return [np.array(one[name], dtype=float) for one in answers]
