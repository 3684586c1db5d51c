"""Adafactor: Adam's second moment kept as its row and column sums (Shazeer & Stern 2018, arXiv 1804.04235).

v = r c' / mean(r)        u = g / sqrt(v), at most 1 in root mean square        w -= lr (u + decay w)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

CLIP = 1.0  # root mean square of an update at most (section 6 of the paper)
DECAY_RATE = 0.8  # beta2 of step t is 1 - t^-0.8 (section 7.2)
EPSILON = 1e-30  # added to the squared gradient


class Adafactor(torch.optim.Optimizer):
    """A matrix of R x C numbers is remembered by R + C.

    The rate is taken as it is given, as by Transformers with `scale_parameter` and `relative_step` off.  The paper,
    and torch, multiply it by the size of the weights: a matrix that begins at zero, such as LoRA's B, would hardly move.

    Args:
        params: parameters, or groups of them.
        lr: the largest root mean square of a step.
        weight_decay: decoupled, times the rate.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step over all that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                state["step"] = state.get("step", 0) + 1
                update = _inverse_root(weight.grad, state).mul_(weight.grad)
                update.div_((_rms(update) / CLIP).clamp_(min=1.0))
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"])
        return loss


def _inverse_root(gradient: Tensor, state: dict[str, Any]) -> Tensor:
    """1 / sqrt(v), once the state has heard the gradient; of the last two axes when there are two."""
    new = state["step"] ** -DECAY_RATE  # 1 in the first step, so nothing is left of the zeros
    squared = gradient.square().add_(EPSILON)
    if gradient.ndim < 2:
        return _moving(state, "variance", squared, new).rsqrt()
    row = _moving(state, "row_variance", squared.mean(-1, keepdim=True), new)
    column = _moving(state, "column_variance", squared.mean(-2, keepdim=True), new)
    return (row / row.mean(-2, keepdim=True)).rsqrt_() * column.rsqrt()


def _moving(state: dict[str, Any], name: str, value: Tensor, new: float) -> Tensor:
    """The moving average of that name, `new` of it from `value`."""
    if name not in state:
        state[name] = torch.zeros_like(value)
    return state[name].lerp_(value, new)


def _rms(tensor: Tensor) -> Tensor:
    return tensor.norm(2) / tensor.numel() ** 0.5
