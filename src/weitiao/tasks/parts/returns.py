"""What each token of a drawn answer was worth, and how much better that is than was thought: numbers of one rollout.

    r_t = -kl_coef d_t, and at the last token the reward of the whole answer besides
    delta_t = r_t + gamma v_{t+1} - v_t,   v = 0 behind the last token
    A_t = delta_t + gamma lam A_{t+1}      generalised advantage estimation, Schulman et al. 2016, arXiv 1506.02438, equation 16
    R_t = A_t + v_t                        what the value head is to say

d is an estimate of the divergence from the reference (joschu.net/blog/kl-approx.html), of x = log ref(y_t) - log pi(y_t):

    k1   -x               of the right mean
    k3   e^x - x - 1      never negative
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

Estimator: TypeAlias = Literal["k1", "k3"]
SMALL = 1e-8
"""What is added to a variance that is divided by, as in TRL."""


def apart(policy_T: np.ndarray, reference_T: np.ndarray, estimator: Estimator) -> np.ndarray:
    """The divergence from the reference at each token (T,)."""
    further_T = reference_T - policy_T
    return -further_T if estimator == "k1" else np.exp(further_T) - further_T - 1


def whitened(parts: Sequence[np.ndarray], *, shift: bool = True) -> list[np.ndarray]:
    """Numbers of all answers brought to spread 1 together, and to mean 0.

    Args:
        parts: of each answer's tokens.
        shift: is their mean taken away?
    """
    values = np.concatenate(parts)
    mean, variance = values.mean(), values.var(ddof=1) if len(values) > 1 else 0.0
    found = (values - mean) / np.sqrt(variance + SMALL) + (0.0 if shift else mean)
    return np.split(found, np.cumsum([len(part) for part in parts])[:-1])


def advantages(rewards_T: np.ndarray, values_T: np.ndarray, *, gamma: float, lam: float) -> np.ndarray:
    """A_t of one answer (T,).

    Args:
        rewards_T: r_t.
        values_T: v_t, as the value head said them when the answer was drawn.
        gamma: what a reward that comes a token later counts for.
        lam: 0 goes by the next value alone, 1 by all rewards that come.
    """
    following_T = np.append(values_T[1:], 0.0)
    deltas_T = rewards_T + gamma * following_T - values_T
    found_T, later = np.zeros_like(deltas_T), 0.0
    for place in range(len(deltas_T) - 1, -1, -1):
        found_T[place] = later = deltas_T[place] + gamma * lam * later
    return found_T


def explained(values: np.ndarray, returns: np.ndarray) -> float | None:
    """The share of the variance of returns that values explain; None where all returns are the same."""
    spread = returns.var()
    return float(1 - (returns - values).var() / spread) if spread > 0 else None
