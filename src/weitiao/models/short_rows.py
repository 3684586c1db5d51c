"""Attention of one short row as a few batched products, with its backward written out.

    query (H, T, D), key (K, S, D), value (K, S, E)  ->  short_row(...)  ->  (H, T, E)

On a CPU the fused attention of torch is made for long sequences: on rows of some hundred tokens its backward takes four
to six times the time of the products themselves.  Here scores of all heads are one `bmm`, the heads that share a key
(grouped queries) lie side by side as rows of one product, so that no key is repeated, and what backward needs is
kept in the inputs' own precision.  Scores and their sums are float32.

Forward and backward of a row, 9 heads on 3 keys of width 64, bfloat16, one core with AVX-512 bfloat16: 64 tokens
0.32 ms beside 1.15 ms, 180 tokens 1.2 beside 4.6, 512 tokens 9.3 beside 19.7; at 1,024 tokens the kept T x T
probabilities leave the caches and it is the slower one.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from weitiao.models.linear import half_of

LONGEST = 512
"""Tokens of a row; longer ones are left to torch's fused attention, which keeps no T x T matrix."""


def short_row(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scaling: float | None,
    causal: bool = True,
    bias: Tensor | None = None,
) -> Tensor:
    """Attention inside one row; K divides H, and head h sees key h // (H / K).

    Args:
        query: (H, T, D).
        key: (K, S, D).
        value: (K, S, E).
        scaling: what scores are multiplied by; None: D ** -0.5.
        causal: does every token see itself and those before it alone, T being S?
        bias: what is added to the scores, (H, T, S).
    """
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    # Under autocast rotated queries are float32 and values are not; torch's own attention would cast them, too.
    dtype = half_of(query) or query.dtype
    query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    return _ShortRow.apply(query, key, value, bias, scaling, causal)


class _ShortRow(torch.autograd.Function):
    # G heads a key; GT: their rows one below the other.

    @staticmethod
    def forward(
        ctx: Any,
        query_HTD: Tensor,
        key_KSD: Tensor,
        value_KSE: Tensor,
        bias_HTS: Tensor | None,
        scaling: float,
        causal: bool,
    ) -> Tensor:
        heads, length, width = query_HTD.shape
        keys, seen = key_KSD.shape[:2]
        query_KGTD = query_HTD.reshape(keys, -1, width)
        scores_KGTS = torch.bmm(query_KGTD.float(), key_KSD.float().transpose(1, 2))
        scores_HTS = scores_KGTS.view(heads, length, seen).mul_(scaling)
        if bias_HTS is not None:
            scores_HTS = scores_HTS.add_(bias_HTS)
        if causal:
            later_TS = torch.ones(length, seen, dtype=torch.bool, device=scores_HTS.device).triu_(1)
            scores_HTS = scores_HTS.masked_fill_(later_TS, -math.inf)
        exponents_HTS = scores_HTS.sub_(scores_HTS.amax(-1, keepdim=True)).exp_()
        # Divided by their sum only behind the product, as in flash attention: 0.998 in half precision would be 1, and
        # language models look that hard at their first token.
        exponents_KGTS = exponents_HTS.to(query_HTD.dtype).view(keys, -1, seen)
        sums_KGT1 = exponents_KGTS.sum(-1, keepdim=True, dtype=torch.float32)
        y_KGTE = torch.bmm(exponents_KGTS, value_KSE).div_(sums_KGT1)
        ctx.save_for_backward(query_KGTD, key_KSD, value_KSE, exponents_KGTS, sums_KGT1)
        ctx.scaling, ctx.heads = scaling, heads
        ctx.bias = None if bias_HTS is None else bias_HTS.dtype
        return y_KGTE.view(heads, length, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query_KGTD, key_KSD, value_KSE, exponents_KGTS, sums_KGT1 = ctx.saved_tensors
        back_KGTE = gradients[0].reshape(*query_KGTD.shape[:2], -1)
        value_back = torch.bmm(exponents_KGTS.transpose(1, 2), back_KGTE / sums_KGT1.to(back_KGTE.dtype))
        weights_back = torch.bmm(back_KGTE, value_KSE.transpose(1, 2)).float()
        weights = exponents_KGTS / sums_KGT1
        scores_back = torch._softmax_backward_data(weights_back, weights, -1, torch.float32)
        bias_back = None
        if ctx.bias is not None and ctx.needs_input_grad[3]:
            bias_back = scores_back.view(ctx.heads, -1, scores_back.shape[-1]).to(ctx.bias, copy=True)
        scores_back = scores_back.mul_(ctx.scaling).to(key_KSD.dtype)
        query_back = torch.bmm(scores_back, key_KSD).view(*gradients[0].shape[:2], -1)
        key_back = torch.bmm(scores_back.transpose(1, 2), query_KGTD)
        return query_back, key_back, value_back, bias_back, None, None
