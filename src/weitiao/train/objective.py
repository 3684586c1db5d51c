"""What a step makes small: the task's loss, smoothed, or of two passes (R-Drop).

    summed(task, settings)  ->  (model, batch)  ->  a sum over all that is trained in the batch

R-Drop (Liang et al. 2021, arXiv 2106.14448): the batch goes through the model twice, with other dropout masks, and

    (L1 + L2) / 2  +  alpha / 4 * (KL(p1 || p2) + KL(p2 || p1))

is made small: half of the paper's equation 4, so that alpha is the paper's and the loss stays as large as that of
one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias, cast

from torch import Tensor, nn

from weitiao.core.contracts import Batch, Categorical, Task
from weitiao.core.errors import fault
from weitiao.core.recipe import Train
from weitiao.core.why import because, reason
from weitiao.models import dropouts

Summed: TypeAlias = Callable[[nn.Module, Batch], Tensor]
KEYS = ("label_smoothing_factor", "r_drop_alpha")


def refuse_unfit(task: Task, settings: Train, model: nn.Module) -> None:
    """Say which key makes no sense with task and model, whose weights are not looked at.

    Raises:
        WeitiaoError: `unfit_training`.
    """
    for key in KEYS:
        value = getattr(settings, key)
        if value and (why := task.refuses(key)):
            raise fault("unfit_training", key=key, value=value, why=why, way=reason("leave_key_out", key=key))
    if settings.neftune_noise_alpha and not task.reads_words:
        value = settings.neftune_noise_alpha
        raise fault("unfit_training", key="neftune_noise_alpha", value=value, **because("no_words_to_shake"))
    alpha = settings.r_drop_alpha
    if alpha and not settings.neftune_noise_alpha and not dropouts.is_there(model):
        raise fault("unfit_training", key="r_drop_alpha", value=alpha, **because("nothing_drops_out"))


def summed(task: Task, settings: Train) -> Summed:
    """The summed loss that `settings` ask for."""
    smoothing, alpha = settings.label_smoothing_factor, settings.r_drop_alpha
    if not smoothing and not alpha:
        return task.loss
    of_classes = cast(Categorical, task)  # `refuse_unfit` saw to it
    if not alpha:
        return partial(of_classes.loss, label_smoothing=smoothing)
    return partial(_twice, of_classes, alpha, smoothing)


def _twice(task: Categorical, alpha: float, smoothing: float, model: nn.Module, batch: Batch) -> Tensor:
    one_NC, two_NC = task.logits(model, batch), task.logits(model, batch)
    one_N, two_N = (task.losses(logits, batch, label_smoothing=smoothing) for logits in (one_NC, two_NC))
    apart_N = divergence(one_NC, two_NC)
    if batch.weights is not None:
        apart_N = apart_N * batch.weights
    return (one_N + two_N).sum() / 2 + alpha / 4 * apart_N.sum()


def divergence(one_NC: Tensor, two_NC: Tensor) -> Tensor:
    """KL(p1 || p2) + KL(p2 || p1) of the softmax of two sets of scores (N,), both ways with gradient."""
    # Both logarithms together: sum over classes of (p1 - p2) (log p1 - log p2).
    one_NC, two_NC = one_NC.log_softmax(-1), two_NC.log_softmax(-1)
    return ((one_NC.exp() - two_NC.exp()) * (one_NC - two_NC)).sum(-1)
