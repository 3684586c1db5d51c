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
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from weitiao.models.linear import half_of

Span: TypeAlias = tuple[int, int]
Piece: TypeAlias = tuple[Span, list[Span]]
"""Where some queries begin and end, and where what they see: what they go on from, and themselves last."""

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
        causal: does every token see itself and those before it alone?  The last one sees all S.
        bias: what is added to the scores, (H, T, S).
    """
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    return _ShortRow.apply(*_alike(query, key, value), bias, scaling, causal)


def short_pieces(
    query: Tensor, key: Tensor, value: Tensor, pieces: Sequence[Piece], *, scaling: float | None
) -> Tensor:
    """Attention of many short rows, or pieces of rows, that lie in one sequence: each as `short_row`, (H, T, E).

    Taken together they cost no slice of the whole sequence, whose gradient is as long as the sequence itself.

    Args:
        query: (H, T, D).
        key: (K, T, D).
        value: (K, T, E).
        pieces: all of the sequence, in order; a token sees what its piece goes on from and what stands before it there.
        scaling: what scores are multiplied by; None: D ** -0.5.
    """
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    return _ShortPieces.apply(*_alike(query, key, value), pieces, scaling)


def gathered(part_KTD: Tensor, spans: Sequence[Span], dim: int = 1) -> Tensor:
    """The tokens of these spans one behind the other."""
    parts = [part_KTD.narrow(dim, start, end - start) for start, end in spans]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def _alike(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    # Under autocast rotated queries are float32 and values are not; torch's own attention would cast them, too.
    dtype = half_of(query) or query.dtype
    return query.to(dtype), key.to(dtype), value.to(dtype)


# G heads a key; GT: their rows one below the other.
def _forward(
    query_KGTD: Tensor,
    key_KSD: Tensor,
    value_KSE: Tensor,
    bias_HTS: Tensor | None,
    length: int,
    scaling: float,
    causal: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Output (K, G T, E), and for backward exponents and their sums."""
    keys, rows, seen = len(query_KGTD), query_KGTD.shape[1], key_KSD.shape[1]
    scores_KGTS = torch.bmm(query_KGTD.float(), key_KSD.float().transpose(1, 2))
    scores_HTS = scores_KGTS.view(keys * rows // length, length, seen).mul_(scaling)
    if bias_HTS is not None:
        scores_HTS = scores_HTS.add_(bias_HTS)
    if causal and length > 1:
        # The last query sees all keys: those before the first query's own are seen by every one.
        later_TS = torch.ones(length, seen, dtype=torch.bool, device=scores_HTS.device).triu_(
            1 + seen - length
        )
        scores_HTS = scores_HTS.masked_fill_(later_TS, -math.inf)
    exponents_HTS = scores_HTS.sub_(scores_HTS.amax(-1, keepdim=True)).exp_()
    # Divided by their sum only behind the product, as in flash attention: 0.998 in half precision would be 1, and
    # language models look that hard at their first token.
    exponents_KGTS = exponents_HTS.to(query_KGTD.dtype).view(keys, -1, seen)
    sums_KGT1 = exponents_KGTS.sum(-1, keepdim=True, dtype=torch.float32)
    return torch.bmm(exponents_KGTS, value_KSE).div_(sums_KGT1), exponents_KGTS, sums_KGT1


def _backward(
    back_KGTE: Tensor, value_KSE: Tensor, exponents_KGTS: Tensor, sums_KGT1: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of the scores (K, G T, S), before they were scaled, and of the values (K, S, E)."""
    value_back = torch.bmm(exponents_KGTS.transpose(1, 2), back_KGTE / sums_KGT1.to(back_KGTE.dtype))
    weights_back = torch.bmm(back_KGTE, value_KSE.transpose(1, 2)).float()
    weights = exponents_KGTS / sums_KGT1
    return torch._softmax_backward_data(weights_back, weights, -1, torch.float32), value_back


class _ShortRow(torch.autograd.Function):
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
        query_KGTD = query_HTD.reshape(len(key_KSD), -1, width)
        y_KGTE, *kept = _forward(query_KGTD, key_KSD, value_KSE, bias_HTS, length, scaling, causal)
        ctx.save_for_backward(query_KGTD, key_KSD, value_KSE, *kept)
        ctx.scaling, ctx.heads = scaling, heads
        ctx.bias = None if bias_HTS is None else bias_HTS.dtype
        return y_KGTE.view(heads, length, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query_KGTD, key_KSD, value_KSE, *kept = ctx.saved_tensors
        back_KGTE = gradients[0].reshape(*query_KGTD.shape[:2], -1)
        scores_back, value_back = _backward(back_KGTE, value_KSE, *kept)
        bias_back = None
        if ctx.bias is not None and ctx.needs_input_grad[3]:
            bias_back = scores_back.view(ctx.heads, -1, scores_back.shape[-1]).to(ctx.bias, copy=True)
        scores_back = scores_back.mul_(ctx.scaling).to(key_KSD.dtype)
        query_back = torch.bmm(scores_back, key_KSD).view(*gradients[0].shape[:2], -1)
        key_back = torch.bmm(scores_back.transpose(1, 2), query_KGTD)
        return query_back, key_back, value_back, bias_back, None, None


class _ShortPieces(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query_HTD: Tensor,
        key_KTD: Tensor,
        value_KTE: Tensor,
        pieces: Sequence[Piece],
        scaling: float,
    ) -> Tensor:
        heads, tokens, width = query_HTD.shape
        y_HTE = value_KTE.new_empty(heads, tokens, value_KTE.shape[-1])
        kept: list[Tensor] = []
        for (start, end), seen in pieces:
            query_KGTD = query_HTD[:, start:end].reshape(len(key_KTD), -1, width)
            key, value = gathered(key_KTD, seen), gathered(value_KTE, seen)
            y_KGTE, *needed = _forward(query_KGTD, key, value, None, end - start, scaling, True)
            y_HTE[:, start:end] = y_KGTE.view(heads, end - start, -1)
            kept += needed
        ctx.save_for_backward(query_HTD, key_KTD, value_KTE, *kept)
        ctx.pieces, ctx.scaling = pieces, scaling
        return y_HTE

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query_HTD, key_KTD, value_KTE, *kept = ctx.saved_tensors
        (back_HTE,), keys, width = gradients, len(key_KTD), query_HTD.shape[-1]
        query_back = torch.empty_like(query_HTD)
        # What several pieces see gets a gradient from each: their sum is rounded once.
        key_back, value_back = (torch.zeros_like(part, dtype=torch.float32) for part in (key_KTD, value_KTE))
        for turn, ((start, end), seen) in enumerate(ctx.pieces):
            query_KGTD = query_HTD[:, start:end].reshape(keys, -1, width)
            key, value = gathered(key_KTD, seen), gathered(value_KTE, seen)
            back_KGTE = back_HTE[:, start:end].reshape(keys, -1, back_HTE.shape[-1])
            scores_back, of_value = _backward(back_KGTE, value, *kept[2 * turn : 2 * turn + 2])
            scores_back = scores_back.mul_(ctx.scaling).to(key.dtype)
            query_back[:, start:end] = torch.bmm(scores_back, key).view(-1, end - start, width)
            _put_back(key_back, torch.bmm(scores_back.transpose(1, 2), query_KGTD), seen)
            _put_back(value_back, of_value, seen)
        return query_back, key_back.to(key_KTD.dtype), value_back.to(value_KTE.dtype), None, None


def _put_back(whole_KTD: Tensor, gradient_KSD: Tensor, spans: Sequence[Span]) -> None:
    """The way back of `gathered`, added."""
    place = 0
    for start, end in spans:
        whole_KTD[:, start:end] += gradient_KSD[:, place : place + end - start]
        place += end - start
