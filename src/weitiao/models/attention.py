"""Attention over rows that lie end to end in one sequence, each row by itself.

    [row | row | row] with cu_seq_lens_q = [0, 5, 9, 20]  ->  causal attention inside each row, and nowhere else

Transformers derives a block mask from positions that start again at 0 and then computes all T x T products; most
of them are masked away.  Here every row is its own call, so the work is the sum of squares instead of the square of
the sum.  The function is registered through Transformers' own interface and is asked only when the rows' bounds are
given, under the names that its flash attention uses; else it is plain SDPA.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROWS = "weitiao_rows"


def register() -> str:
    """Make the function known to Transformers; returns its name for `attn_implementation`."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ROWS, rows_attention)
    AttentionMaskInterface.register(ROWS, sdpa_mask)
    return ROWS


def rows_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    cu_seq_lens_q: Tensor | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention as Transformers calls it: query (1, H, T, D), key and value (1, K, T, D) -> (1, T, H, D).

    Args:
        cu_seq_lens_q: where rows begin and the last one ends, (rows + 1,); without it this is plain SDPA.
    """
    # A sliding window or a score cap would need more than a causal call: those models keep the masked way.
    plain = others.get("sliding_window") is None and others.get("softcap") is None
    if cu_seq_lens_q is None or not plain:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
    bounds = cu_seq_lens_q.tolist()
    shared = query.shape[1] != key.shape[1]
    rows = [
        F.scaled_dot_product_attention(
            query[:, :, a:b],
            key[:, :, a:b],
            value[:, :, a:b],
            dropout_p=dropout,
            is_causal=True,
            scale=scaling,
            enable_gqa=shared,
        )
        for a, b in zip(bounds, bounds[1:], strict=False)
    ]
    return torch.cat(rows, dim=2).transpose(1, 2).contiguous(), None
