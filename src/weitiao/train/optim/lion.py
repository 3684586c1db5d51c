"""Lion: the sign of a moving average (Chen et al. 2023, arXiv 2302.06675, algorithm 2).

w -= lr (sign(b1 m + (1 - b1) g) + decay w)        m = b2 m + (1 - b2) g
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


class Lion(torch.optim.Optimizer):
    """One moving average a parameter, half of Adam's memory; every step moves every number by the same length.

    Args:
        params: parameters, or groups of them.
        lr: length of a step; the paper's are 3 to 10 times smaller than AdamW's.
        betas: memory of the direction that is taken, and of the average that is kept.
        weight_decay: decoupled, times the rate.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step over all that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            (beta1, beta2), lr = group["betas"], group["lr"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["exp_avg"] = torch.zeros_like(weight)
                average = state["exp_avg"]
                weight.mul_(1 - lr * group["weight_decay"])
                direction = average.mul(beta1).add_(weight.grad, alpha=1 - beta1).sign_()
                weight.add_(direction, alpha=-lr)
                average.mul_(beta2).add_(weight.grad, alpha=1 - beta2)
        return loss
