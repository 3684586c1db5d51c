"""AdamW, its parameter groups, and how the learning rate goes.

rate(step, total=..., warmup_steps=..., kind="linear")  ->  the share of the peak rate at that step
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from weitiao.core.recipe import Train
from weitiao.models import anatomy


def adamw(
    model: nn.Module, settings: Train, *, learning_rate: float, factors: Mapping[str, float] | None = None
) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) over all that trains; no decay on biases and norms.

    Args:
        model: whose parameters know whether they train.
        settings: the recipe's `train` section.
        learning_rate: the peak rate.
        factors: name of a parameter -> factor on its rate; others have 1.
    """
    norms = anatomy.norm_weights(model)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            # Factors that are kept as a row or a column (IA3) would be drawn to zero, which is not where they begin.
            spared = weight.ndim < 2 or 1 in weight.shape or id(weight) in norms
            groups.setdefault(((factors or {}).get(name, 1.0), spared), []).append(weight)
    return torch.optim.AdamW(
        [
            {
                "params": weights,
                "lr": learning_rate * factor,
                "factor": factor,
                "weight_decay": 0.0 if spared else settings.weight_decay,
            }
            for (factor, spared), weights in sorted(groups.items(), key=lambda group: group[0])
        ],
        lr=learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_epsilon,
        fused=True,
    )


def rate(
    step: int, *, total: int, warmup_steps: float, kind: Literal["linear", "cosine", "constant"]
) -> float:
    """Share of the peak learning rate at `step` (from 0), as Transformers' schedules have it.

    Args:
        total: steps of the whole run.
        warmup_steps: steps of linear rise from 0; below 1 a share of `total`, rounded up.
        kind: what follows: down to 0 in a line or a half cosine, or level.
    """
    warmup = math.ceil(warmup_steps * total) if warmup_steps < 1 else int(warmup_steps)
    if step < warmup:
        return step / warmup
    done = (step - warmup) / max(1, total - warmup)
    if kind == "linear":
        return max(0.0, 1 - done)
    if kind == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return 1.0
