"""Batch normalisation goes by the statistics that the base was pretrained with, in training too.

With those of the batch, what is said of a picture would hang on its neighbours: a batch cut in two would have another gradient than
a whole one, two processes another than one, and a frozen trunk would not stay what it was.  Scale and shift train like any weights.
"""

from __future__ import annotations

from typing import Any

from torch import nn


def hold(model: nn.Module) -> None:
    """Let every such layer of a model compute as when it is asked, whatever mode the model is in."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.register_forward_pre_hook(_as_asked)
            module.register_forward_hook(_in_order)


def _as_asked(module: nn.Module, args: Any) -> None:
    module.training = False


def _in_order(module: nn.Module, args: Any, out: Any) -> None:
    # Of one picture alone, torch 2.13 on a CPU adds up the gradient of scale and shift in the wrong places where it comes with
    # other strides than a picture's (as from positions side by side).
    if out.requires_grad:
        out.register_hook(lambda gradient: gradient.contiguous())
