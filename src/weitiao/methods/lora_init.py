"""How LoRA's matrices begin when they do not begin at zero.

pissa(W, r, s), olora(W, r, s)  ->  A (R, in), B (out, R)
Eva(model, layers, r).directions(passes)  ->  name -> A (R, in)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

EVA_PASSES = 16  # training batches that EVA looks at, at most


def pissa(weight: Tensor, r: int, scaling: float) -> tuple[Tensor, Tensor]:
    """The R largest singular values and vectors of the weight, s B A = U S V (Meng et al. 2024, arXiv 2404.02948)."""
    if weight.is_meta:
        return weight.new_empty(r, weight.shape[1]), weight.new_empty(weight.shape[0], r)
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    root = (values[:r] / scaling).sqrt()
    return root[:, None] * right[:r], left[:, :r] * root


def olora(weight: Tensor, r: int, scaling: float) -> tuple[Tensor, Tensor]:
    """The first R columns of Q and rows of R of the weight (Büyükakyüz 2024, arXiv 2406.01775)."""
    if weight.is_meta:
        return weight.new_empty(r, weight.shape[1]), weight.new_empty(weight.shape[0], r)
    orthogonal, upper = torch.linalg.qr(weight)
    return upper[:r], orthogonal[:, :r]


class Eva:
    """The directions in which the layers' inputs vary most (Paischer et al. 2024, arXiv 2410.07170).

    The inputs' second moments are summed up and taken apart once, which gives the right singular vectors of all of
    them together; the paper's incremental decomposition nears the same.  Ranks are not dealt out anew (its rho = 1).
    """

    def __init__(self, model: nn.Module, layers: Mapping[str, nn.Module], r: int):
        self.model, self.layers, self.r = model, layers, r
        self.moments: dict[str, Tensor] = {}
        self.mask: Tensor | None = None

    def directions(self, passes: Iterator[None]) -> dict[str, Tensor]:
        """Name -> A (R, in), rows orthonormal, the strongest first.

        Args:
            passes: each `next` sends a training batch through the model.
        """
        held = [layer.register_forward_pre_hook(self._collect(name)) for name, layer in self.layers.items()]
        held.append(self.model.register_forward_pre_hook(self._note_mask, with_kwargs=True))
        try:
            for _ in zip(range(EVA_PASSES), passes, strict=False):
                pass
        finally:
            for hook in held:
                hook.remove()
        found = {}
        for name, moment in self.moments.items():
            _, vectors = torch.linalg.eigh(moment)  # ascending
            found[name] = vectors[:, -self.r :].flip(1).t().float()
        return found

    def _note_mask(self, model: nn.Module, args: Any, words: Mapping[str, Any]) -> None:
        self.mask = words.get("attention_mask")

    def _collect(self, name: str) -> Any:
        def collect(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].detach().double()
            # Padding is no input; a pooler's rows have no mask of their own.
            if self.mask is not None and self.mask.shape == x.shape[:-1]:
                x_NI = x[self.mask.bool()]
            else:
                x_NI = x.reshape(-1, x.shape[-1])
            self.moments[name] = self.moments.get(name, 0) + x_NI.t() @ x_NI

        return collect
