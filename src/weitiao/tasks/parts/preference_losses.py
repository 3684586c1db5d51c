"""Losses of pairs of answers, of which one was preferred: one formula each, of log-probabilities alone.

    r = log pi(y) - log ref(y), or log pi(y) where there is no reference; summed over the answer, or its mean a token
    m = beta (r_chosen - r_rejected) - gamma

    sigmoid   -(1 - e) log s(m) - e log s(-m)              DPO, Rafailov et al. 2023, arXiv 2305.18290, equation 7; with the
                                                           smoothing e: cDPO, ericmitchell.ai/cdpo.pdf; with gamma: ODPO, 2402.10571
    hinge     max(0, 1 - m)                                SLiC, Zhao et al. 2023, arXiv 2305.10425
    ipo       (r_chosen - r_rejected - 1 / (2 beta))^2     Azar et al. 2023, arXiv 2310.12036, equation 17
    robust    (-(1 - e) log s(m) + e log s(-m)) / (1 - 2e)   Chowdhury et al. 2024, arXiv 2403.00409
    apo_zero  1 - s(beta r_chosen) + s(beta r_rejected)    D'Oosterlinck et al. 2024, arXiv 2408.06266, equation 7
    simpo     sigmoid, without a reference                 Meng et al. 2024, arXiv 2405.14734, equation 6
    cpo       sigmoid, without a reference                 Xu et al. 2024, arXiv 2401.08417, equation 3
    orpo      -beta log s(log odds_chosen - log odds_rejected), odds = p / (1 - p)   Hong et al. 2024, arXiv 2403.07691, equation 7

s is the logistic function.  What a loss adds beside it, times `rpo_alpha`, is the chosen answer's loss a token (Pang et al.
2024, arXiv 2404.19733): every pair by itself, so that a batch may be cut in any way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Kind: TypeAlias = Literal["sigmoid", "hinge", "ipo", "robust", "apo_zero", "simpo", "cpo", "orpo"]


@dataclass(frozen=True)
class Usual:
    """What is usual of a loss, where nothing is said, and which settings it knows."""

    reference: bool = True
    """Does it go by a reference?"""
    mean: bool = False
    """Are log-probabilities means a token?"""
    beta: float = 0.1
    gamma: float | None = 0.0
    """None: it knows no margin."""
    smooths: bool = False
    """Does it know `label_smoothing`?"""
    sft: float = 0.0
    """How much of the chosen answer's own loss it adds."""


USUAL: dict[str, Usual] = {
    "sigmoid": Usual(smooths=True),
    "hinge": Usual(),
    "ipo": Usual(mean=True, gamma=None),
    "robust": Usual(smooths=True),
    "apo_zero": Usual(gamma=None),
    # The paper's beta, and its margin of half of that (section 3.1, table 7).
    "simpo": Usual(reference=False, mean=True, beta=2.0, gamma=1.0, smooths=True),
    "cpo": Usual(reference=False, smooths=True, sft=1.0),
    "orpo": Usual(reference=False, mean=True, gamma=None, sft=1.0),
}


def pair_losses(
    loss_type: Kind, ratios_B2: Tensor, *, beta: float, gamma: float, label_smoothing: float
) -> Tensor:
    """The loss of every pair (B,).

    Args:
        loss_type: which.
        ratios_B2: r of chosen and rejected.
        beta: how much a change counts.
        gamma: the margin.
        label_smoothing: the share e of pairs that are taken to be the wrong way round.
    """
    from torch.nn import functional as F

    chosen_B, rejected_B = ratios_B2.unbind(1)
    apart_B = chosen_B - rejected_B
    if loss_type == "ipo":
        return (apart_B - 1 / (2 * beta)) ** 2
    if loss_type == "apo_zero":
        return 1 - (beta * chosen_B).sigmoid() + (beta * rejected_B).sigmoid()
    if loss_type == "orpo":
        return -beta * F.logsigmoid(apart_B - (_other(chosen_B) - _other(rejected_B)))
    margin_B = beta * apart_B - gamma
    if loss_type == "hinge":
        return F.relu(1 - margin_B)
    right_B, wrong_B = -F.logsigmoid(margin_B), -F.logsigmoid(-margin_B)
    if loss_type == "robust":
        return ((1 - label_smoothing) * right_B - label_smoothing * wrong_B) / (1 - 2 * label_smoothing)
    return (1 - label_smoothing) * right_B + label_smoothing * wrong_B


def _other(log_p_B: Tensor) -> Tensor:
    """log(1 - p); an answer that is certain would have none."""
    import torch

    return torch.log(-torch.expm1(log_p_B.clamp(max=-1e-6)))
