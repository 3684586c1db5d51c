"""A learnt gate: how much of a part counts, decided by what the part looks at (Mao et al. 2022, arXiv 2110.07577).

gate = mean over the row's tokens of sigmoid(w x + b)        one number a row, where rows are seen as a whole
gate = sigmoid(w x + b)                                      one number a token, where they are read from left to right

The paper means over all tokens; in a language model that would let a word see what comes after it.  Padding does not
count.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from weitiao.models import inputs

ROWS = "gated_rows"  # the attribute of the text model


class Rows:
    """Which tokens of the current batch are real, and whose they are."""

    mask: Tensor | None = None
    """(B, T); None when all are."""
    bounds: Tensor | None = None
    """Where rows that lie end to end begin (rows + 1,); None where they do not."""


class Gate(nn.Module):
    """One number for each row, or for each token."""

    def __init__(self, width: int, *, rows: Rows | None):
        super().__init__()
        self.linear = nn.Linear(width, 1)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)
        self.rows = rows
        """Given where rows are seen as a whole."""

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, 1) or (B, T); of rows end to end (1, T), each token with the mean of its row."""
        with torch.autocast(x_BTD.device.type, enabled=False):
            gate_BT = torch.sigmoid(self.linear(x_BTD.float()))[..., 0]
        if self.rows is None:
            return gate_BT
        mask, bounds = self.rows.mask, self.rows.bounds
        if bounds is not None and int(bounds[-1]) == gate_BT.shape[1]:
            sizes = bounds.diff()
            row_T = torch.arange(len(sizes)).repeat_interleave(sizes).to(gate_BT.device, non_blocking=True)
            sums = gate_BT.new_zeros(1, len(sizes)).index_add(1, row_T, gate_BT)
            return (sums / sizes.to(gate_BT.device, non_blocking=True))[:, row_T]
        if mask is None or mask.shape != gate_BT.shape:
            return gate_BT.mean(1, keepdim=True)
        real = mask.to(gate_BT.dtype)
        return (gate_BT * real).sum(1, keepdim=True) / real.sum(1, keepdim=True)


def watch_rows(model: nn.Module) -> Rows:
    """From now on the batch's mask and bounds are noted before every forward pass; returns where."""
    body = inputs.text_model(model)
    if not hasattr(body, ROWS):
        setattr(body, ROWS, Rows())
        body.register_forward_pre_hook(_note, with_kwargs=True)
    return getattr(body, ROWS)


def _note(body: nn.Module, args: Any, words: dict[str, Any]) -> None:
    words, rows = inputs.named(body, args, words), getattr(body, ROWS)
    mask = words.get("attention_mask")
    rows.mask, rows.bounds = mask if mask is not None and mask.dim() == 2 else None, inputs.bounds(words)
