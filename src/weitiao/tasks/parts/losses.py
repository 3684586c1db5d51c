"""Losses of rows that carry one of L labels each.

    chosen("focal", focal_gamma=2)  ->  (logits (B, L), targets (B,), weights (L,), label_smoothing)  ->  (B,)

cross_entropy   -log p_y                                    p = softmax(logits), y the row's label
focal           (1 - p_y)^gamma * -log p_y                  Lin et al. 2017, arXiv 1708.02002, equation 4
mse             mean over labels l of (logit_l - [l = y])^2   Hui & Belkin 2020, arXiv 2006.07322
file.py:name    what a function of the user's returns

Each is times the weight of the row's label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from weitiao.core.errors import did_you_mean, fault
from weitiao.core.function import opened
from weitiao.core.why import reason

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

    RowLosses: TypeAlias = Callable[[Tensor, Tensor, Tensor | None, float], Tensor]

Kind: TypeAlias = Literal["cross_entropy", "focal", "mse"]


def chosen(loss_type: str, *, focal_gamma: float) -> RowLosses:
    """The loss of that name, or the user's function.

    Raises:
        WeitiaoError: `no_such_function`.
    """
    if ":" in loss_type:
        return partial(_own, opened(loss_type, key="task.loss_type"), loss_type)
    ours: dict[str, RowLosses]
    ours = {"cross_entropy": _cross_entropy, "focal": partial(_focal, focal_gamma), "mse": _mse}
    return ours[loss_type]


def _cross_entropy(
    logits_BL: Tensor, target_B: Tensor, weights_L: Tensor | None, label_smoothing: float
) -> Tensor:
    """As torch has it: with weights, what is spread over the labels takes the weight of each."""
    from torch.nn import functional as F

    return F.cross_entropy(
        logits_BL, target_B, weight=weights_L, label_smoothing=label_smoothing, reduction="none"
    )


def _focal(
    gamma: float, logits_BL: Tensor, target_B: Tensor, weights_L: Tensor | None, label_smoothing: float
) -> Tensor:
    import torch

    log_p_B = logits_BL.log_softmax(-1).gather(1, target_B[:, None])[:, 0]
    # Never quite 0: for gamma < 1 the slope of 0^gamma is infinite.
    rest_B = (-torch.expm1(log_p_B)).clamp_min(torch.finfo(log_p_B.dtype).tiny)
    return _weighed(-(rest_B**gamma) * log_p_B, target_B, weights_L)


def _mse(logits_BL: Tensor, target_B: Tensor, weights_L: Tensor | None, label_smoothing: float) -> Tensor:
    from torch.nn import functional as F

    labels = logits_BL.shape[1]
    wanted_BL = F.one_hot(target_B, labels) * (1 - label_smoothing) + label_smoothing / labels
    return _weighed((logits_BL - wanted_BL).square().mean(-1), target_B, weights_L)


def _own(
    function: Callable[..., Any],
    name: str,
    logits_BL: Tensor,
    target_B: Tensor,
    weights_L: Tensor | None,
    label_smoothing: float,
) -> Tensor:
    import torch

    try:
        losses_B = function(logits_BL, target_B)
    except Exception as error:  # the user's own code
        raise fault("bad_loss", function=name, why=f"{type(error).__name__}: {error}") from error
    found = tuple(losses_B.shape) if isinstance(losses_B, torch.Tensor) else type(losses_B).__name__
    if found != (len(target_B),):
        raise fault("bad_loss", function=name, why=reason("loss_returned", found=found, rows=len(target_B)))
    if logits_BL.requires_grad and not losses_B.requires_grad:
        raise fault("bad_loss", function=name, why=reason("loss_no_gradient"))
    return _weighed(losses_B, target_B, weights_L)


def _weighed(losses_B: Tensor, target_B: Tensor, weights_L: Tensor | None) -> Tensor:
    return losses_B if weights_L is None else losses_B * weights_L[target_B]


def balanced(targets: ArrayLike, times: ArrayLike | None, labels: Sequence[str]) -> dict[str, float]:
    """Label -> rows / (labels * rows of the label), as in scikit-learn; 1 for a label that no row carries.

    Args:
        targets: which label each training row carries.
        times: how often each row comes in an epoch; None for once.
        labels: their names.
    """
    import numpy as np

    counts_L = np.bincount(np.asarray(targets), weights=times, minlength=len(labels))
    carried = np.count_nonzero(counts_L)
    return {
        label: float(counts_L.sum() / (carried * count)) if count else 1.0
        for label, count in zip(labels, counts_L, strict=True)
    }


def refuse_unknown(weights: Mapping[str, float], labels: Sequence[str]) -> None:
    """Every label that has a weight must be one.

    Raises:
        WeitiaoError: `unknown_class`.
    """
    for label in weights:
        if label not in labels:
            hint = did_you_mean(label, labels)
            raise fault("unknown_class", label=label, hint=hint, known=", ".join(labels))
