"""How far a student's distribution of the next word is from its teacher's: one formula, of the scores of both.

    beta 0          KL(teacher || student)
    beta 1          KL(student || teacher), the reverse one
    between them    beta KL(teacher || m) + (1 - beta) KL(student || m),   m = beta teacher + (1 - beta) student

The generalised Jensen-Shannon divergence of Agarwal et al. 2023, arXiv 2306.13649, equation 1, which ends in the two KLs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def generalised_jsd(student_NV: Tensor, teacher_NV: Tensor, beta: float) -> Tensor:
    """In nats, of each token (N,); never negative.

    Args:
        student_NV: its scores; the gradient flows through these.
        teacher_NV: those of its teacher.  Where one of them has more words (outputs that no word was ever given), these are
            left out.
        beta: from 0 to 1.
    """
    import torch

    both = min(student_NV.shape[-1], teacher_NV.shape[-1])
    student, teacher = (scores[..., :both].log_softmax(-1) for scores in (student_NV, teacher_NV))
    if beta == 0:
        return _kl(teacher, student)
    if beta == 1:
        return _kl(student, teacher)
    mixed = torch.logaddexp(teacher + math.log(beta), student + math.log1p(-beta))
    return beta * _kl(teacher, mixed) + (1 - beta) * _kl(student, mixed)


def _kl(one: Tensor, other: Tensor) -> Tensor:
    return (one.exp() * (one - other)).sum(-1)
