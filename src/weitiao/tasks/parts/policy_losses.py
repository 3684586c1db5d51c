"""Losses of answers that a model drew itself: one formula each, of log-probabilities and advantages alone.

    r_t = exp(log pi(y_t) - log pi_old(y_t))          the ratio of a token, or of the whole answer y:
    r   = exp(mean_t (log pi(y_t) - log pi_old(y_t)))   `sequence`, GSPO, Zheng et al. 2025, arXiv 2507.18071, equation 7
    l_t = -min(r_t A, clip(r_t, 1 - epsilon, 1 + epsilon_high) A) + beta (e^d - d - 1),   d = log ref(y_t) - log pi(y_t)

    grpo        mean over answers of the mean over their tokens of l_t      Shao et al. 2024, arXiv 2402.03300, equation 3
    dapo, bnpo  mean over the tokens of all answers                         Yu et al. 2025, arXiv 2503.14476, equation 8
    dr_grpo     mean over answers of the sum of l_t / max_completion_length   Liu et al. 2025, arXiv 2503.20783

    ppo         mean over tokens of l_t of `cliprange`, A_t of each token (`tasks.parts.returns`), and
                vf_coef max((v - R)^2, (clip(v, v_old - c, v_old + c) - R)^2) / 2   Schulman et al. 2017, arXiv 1707.06347

    rloo        mean over answers of -min(R A, clip(R, ...) A), R = exp(sum_t ...)   Ahmadian et al. 2024, arXiv 2402.14740

A is the advantage of an answer over the others to the same prompt:

    group   (reward - mean of the group) / (spread of the group + 1e-4); `batch`: the spread of all; `none`: undivided
    rloo    reward - mean of the *others* of the group

The estimate of the divergence e^d - d - 1 is never negative (Schulman 2020, joschu.net/blog/kl-approx.html, k3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Kind: TypeAlias = Literal["dapo", "grpo", "dr_grpo", "bnpo"]
Level: TypeAlias = Literal["token", "sequence"]
Scale: TypeAlias = Literal["group", "batch", "none"]
SMALL = 1e-4
"""What is added to a spread that is divided by, as in TRL."""
BY_TOKENS = ("dapo", "bnpo")
"""Losses whose mean is over tokens, not over answers."""


def clipped(log_ratios: Tensor, advantages: Tensor, *, low: float, high: float) -> tuple[Tensor, Tensor]:
    """-min(r A, clip(r) A), and which of them the clip has stopped (no gradient).

    Args:
        log_ratios: of tokens, or of answers.
        advantages: of the same.
        low: how far below 1 a ratio may fall.
        high: how far above 1 it may rise.
    """
    import torch

    ratios = log_ratios.exp()
    losses = -torch.minimum(ratios * advantages, ratios.clamp(1 - low, 1 + high) * advantages)
    stopped = (ratios < 1 - low) & (advantages < 0) | (ratios > 1 + high) & (advantages > 0)
    return losses, stopped


def divergence(logps_N: Tensor, reference_N: Tensor) -> Tensor:
    """The estimate of KL(pi || ref) at drawn tokens (N,): never negative."""
    apart_N = reference_N - logps_N
    return apart_N.exp() - apart_N - 1


def value_losses(values_N: Tensor, old_N: Tensor, returns_N: Tensor, *, clip: float) -> tuple[Tensor, Tensor]:
    """Half the squared error of a value head (N,), the larger one of its own and of one held near what it said before; and where
    the held one is larger (no gradient).

    Args:
        values_N: what it says.
        old_N: what it said when the answers were drawn.
        returns_N: what it is to say.
        clip: how far from its old value a value is followed.
    """
    import torch

    own_N = (values_N - returns_N).square()
    held_N = (torch.clamp(values_N, old_N - clip, old_N + clip) - returns_N).square()
    return torch.maximum(own_N, held_N) / 2, held_N > own_N


def per_row(values_N: Tensor, owner_N: Tensor, rows: int) -> Tensor:
    """Sums over the tokens of each answer (B,)."""
    return values_N.new_zeros(rows).index_add(0, owner_N, values_N)


def group_advantages(rewards_PG: np.ndarray, scale: Scale) -> np.ndarray:
    """By how much each answer is better than those to the same prompt (P, G); 0 where all of them are worth the same.

    Args:
        rewards_PG: of G answers to each of P prompts.
        scale: what the difference is divided by.
    """
    advantages = _centred(rewards_PG, rewards_PG.mean(1, keepdims=True))
    if scale == "none":
        return advantages
    spread = rewards_PG.std(1, ddof=1, keepdims=True) if scale == "group" else rewards_PG.std(ddof=1)
    return advantages / (spread + SMALL)


def leave_one_out(rewards_PG: np.ndarray, *, normalize: bool) -> np.ndarray:
    """By how much each answer is better than the mean of the others to the same prompt (P, G).

    Args:
        rewards_PG: of G answers to each of P prompts.
        normalize: are they brought to mean 0 and spread 1 over the rollout?
    """
    others = (rewards_PG.sum(1, keepdims=True) - rewards_PG) / (rewards_PG.shape[1] - 1)
    advantages = _centred(rewards_PG, others)
    if not normalize:
        return advantages
    return (advantages - advantages.mean()) / (advantages.std(ddof=1) + SMALL)


def without_spread(rewards_PG: np.ndarray) -> np.ndarray:
    """Which groups (P,) teach nothing: all answers are worth the same."""
    return rewards_PG.max(1) == rewards_PG.min(1)


def _centred(rewards_PG: np.ndarray, means: np.ndarray) -> np.ndarray:
    # A mean of equal numbers may differ from them in its last bit, and what is divided by is then as small.
    return np.where(without_spread(rewards_PG)[:, None], 0.0, rewards_PG - means)
