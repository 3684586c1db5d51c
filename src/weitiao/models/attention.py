"""Attention over rows that lie end to end in one sequence, each row by itself, and over learnt prefixes.

    [row | row | row] with cu_seq_lens_q = [0, 5, 9, 20]  ->  attention inside each row, and nowhere else
    beside cu_seq_lens_k = [0, 7, 8, 30]                  ->  each row sees its own row of those (an encoder's)

Transformers derives a block mask from positions that start again at 0 and then computes all T x T products; most
of them are masked away.  On a CPU every row is its own call here, so the work is the sum of squares instead of the
square of the sum; on other devices `models.varlen` does all rows in one.  The bounds lie on the CPU, so that nobody
waits for a device to read them.  A row may go on from others, whose beginnings then are its own (`data.shared`): it
sees them as if they stood before it, and they see nothing of it.  The function is registered through Transformers' own interface and is asked only when
the bounds are given, under the name that its flash attention uses; else it is plain SDPA.  Whether a row is causal its
module says (`is_causal`, as Transformers has it).  What a module adds to its scores (T5's bias by distance) is one table
for the longest row (`models.end_to_end`), of which each row takes the beginning.

A prefix (keys and values that a method has learnt) stands before a module's own keys and values, seen from every row,
never masked, and without position.  It is put into the module's `Slot` before each forward pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from weitiao.models import varlen
from weitiao.models.short_rows import LONGEST, Piece, gathered, short_pieces, short_row

ROWS = "weitiao_rows"
SLOT = "prefix_slot"  # the attribute of an attention module


@dataclass
class Slot:
    """What stands before an attention module's own keys and values in the current forward pass."""

    held: tuple[Tensor, Tensor] | None = None
    """Keys (K, P, D) and values (K, P, D), or None for nothing."""
    gate: Tensor | None = None
    """How much of it counts: one factor a row (B, 1), or one a token (B, T), which every query has for itself."""

    def __deepcopy__(self, memo: Any) -> Slot:
        return Slot()  # what is in it belongs to one forward pass


def register(*, compiled: bool = False) -> str:
    """Make the function known to Transformers; returns its name for `attn_implementation`.

    Args:
        compiled: is the model going to be?  A call a row would be a program of its own for every batch's rows.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ROWS, torch.compiler.disable(rows_attention) if compiled else rows_attention)
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
    cu_seq_lens_k: Tensor | None = None,
    pieces_go_on_from: Tensor | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention as Transformers calls it: query (1, H, T, D), key and value (1, K, S, D) -> (1, T, H, D).

    Args:
        cu_seq_lens_q: where rows begin and the last one ends, (rows + 1,), on the CPU; without it this is plain SDPA.
        cu_seq_lens_k: the same of what a module sees that is not causal, where those are other rows.
        pieces_go_on_from: which piece each of these rows, which then are pieces, goes on from (rows,), on the CPU; -1: none.
    """
    on_cpu, window = query.device.type == "cpu", others.get("sliding_window")
    asked, bias = others.get("is_causal"), others.get("position_bias")
    causal = bool(getattr(module, "is_causal", True) if asked is None else asked)
    parents = pieces_go_on_from
    keys = cu_seq_lens_q if causal or cu_seq_lens_k is None else cu_seq_lens_k
    # A score cap, or a window in a call a row, would need more than a plain call: those keep the masked way.  So do a
    # bias where all rows are one call, and one that was made for all pairs of the whole sequence.
    if others.get("softcap") is not None or (on_cpu and window is not None):
        cu_seq_lens_q = None
    if bias is not None and not (on_cpu and parents is None and _fits(bias, cu_seq_lens_q, keys)):
        cu_seq_lens_q = None
    if parents is not None and not causal:
        cu_seq_lens_q = None
    pieces = None if cu_seq_lens_q is None else _pieces(cu_seq_lens_q, keys, parents)
    slot: Slot | None = getattr(module, SLOT, None)
    if slot is not None and slot.held is not None:
        held, gate = slot.held, slot.gate
        return _prefixed(
            module,
            query,
            key,
            value,
            attention_mask,
            held,
            gate,
            dropout,
            scaling,
            pieces,
            **others,
        ), None
    if cu_seq_lens_q is None or pieces is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
    if not on_cpu:
        words: dict[str, Any] = {"dropout": dropout, "scaling": scaling, "window": window}
        if parents is not None:
            key, value, keys = varlen.copied(key, value, pieces)
        return varlen.attend(query, key, value, cu_seq_lens_q, keys=keys, causal=causal, **words), None
    longest = max(sum(end - start for start, end in seen) for _, seen in pieces)
    if causal and bias is None and not dropout and longest <= LONGEST:
        y = short_pieces(query[0], key[0], value[0], pieces, scaling=scaling)[None]
        return y.transpose(1, 2).contiguous(), None
    rows = [
        _row(
            query[:, :, a:b],
            gathered(key, seen, dim=2),
            gathered(value, seen, dim=2),
            _beginning(bias, b - a, sum(end - start for start, end in seen)),
            dropout=dropout,
            scaling=scaling,
            causal=causal,
        )
        for (a, b), seen in pieces
    ]
    return torch.cat(rows, dim=2).transpose(1, 2).contiguous(), None


def _pieces(bounds: Tensor, keys: Tensor | None, parents: Tensor | None) -> list[Piece]:
    """Where each row of the queries lies, and what it sees: its row of the keys, behind all that it goes on from."""
    own = list(pairwise(bounds.tolist()))
    behind = [[span] for span in (own if keys is None else pairwise(keys.tolist()))]
    for piece, parent in enumerate([] if parents is None else parents.tolist()):
        if parent >= 0:
            behind[piece] = [*behind[parent], *behind[piece]]
    return list(zip(own, behind, strict=True))


def _fits(bias: Tensor, bounds: Tensor | None, keys: Tensor | None) -> bool:
    """Is it of the longest row, or one number for all?"""
    if bounds is None or keys is None:
        return False
    longest = (int(bounds.diff().max()), int(keys.diff().max()))
    return tuple(bias.shape[-2:]) in ((1, 1), longest)


def _beginning(bias: Tensor | None, length: int, seen: int) -> Tensor | None:
    """Of a table by distance (1, H, L, M) that of a row; one number for all changes no share of the attention."""
    if bias is None or bias.shape[-2:] == (1, 1):
        return None
    return bias[:, :, :length, :seen]


def _row(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    *,
    dropout: float,
    scaling: float | None,
    causal: bool,
) -> Tensor:
    """Attention inside one row, (1, H, T, D)."""
    if not dropout and max(query.shape[2], key.shape[2]) <= LONGEST:
        added = None if bias is None else bias[0]
        return short_row(query[0], key[0], value[0], scaling=scaling, causal=causal, bias=added)[None]
    mask, (length, seen) = bias, (query.shape[2], key.shape[2])
    if causal and (bias is not None or seen > length):  # torch takes either a mask or its own causal one
        before = torch.ones(length, seen, dtype=torch.bool, device=query.device).tril(seen - length)
        mask = before if bias is None else bias.masked_fill(~before, -math.inf)
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask if mask is None or mask.dtype == torch.bool else mask.to(query.dtype),
        dropout_p=dropout,
        is_causal=causal and mask is None,
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def _prefixed(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    held: tuple[Tensor, Tensor],
    gate: Tensor | None,
    dropout: float,
    scaling: float | None,
    pieces: Sequence[Piece] | None,
    *,
    position_bias: Tensor | None = None,
    is_causal: bool | None = None,
    **others: Any,
) -> Tensor:
    """Attention over the prefix and the module's own keys, (B, T, H, D)."""
    causal = bool(getattr(module, "is_causal", False)) if is_causal is None else is_causal
    if pieces is not None:
        parts = []
        for (a, b), seen in pieces:
            own = None if gate is None else gate[:, a:b]
            row = (query[:, :, a:b], gathered(key, seen, dim=2), gathered(value, seen, dim=2))
            bias = _beginning(position_bias, b - a, row[1].shape[2])
            parts.append(_with_prefix(*row, None, bias, held, own, dropout, scaling, causal=causal))
        return torch.cat(parts, dim=2).transpose(1, 2).contiguous()
    y = _with_prefix(query, key, value, mask, position_bias, held, gate, dropout, scaling, causal=causal)
    return y.transpose(1, 2).contiguous()


def _with_prefix(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    held: tuple[Tensor, Tensor],
    gate: Tensor | None,
    dropout: float,
    scaling: float | None,
    *,
    causal: bool,
) -> Tensor:
    """One call; query (B, H, T, D), key and value (B, K, S, D), mask and bias broadcast to (B, H, T, S)."""
    rows, heads, length = query.shape[:3]
    seen, groups = key.shape[2], heads // key.shape[1]
    prefix_K, prefix_V = (part.to(query.dtype).expand(rows, -1, -1, -1) for part in held)
    count = prefix_K.shape[2]
    if mask is None and causal and length > 1:
        # Seen from the end: a cache may hold keys from before these queries.
        mask = torch.ones(length, seen, dtype=torch.bool, device=query.device).tril(seen - length)[None, None]
    score = _score(mask, bias, query.dtype)
    if score is not None:
        score = F.pad(score.expand(-1, -1, length, -1), (count, 0))
    if gate is not None and gate.shape[1] > 1:
        return _gated(query, key, value, prefix_K, prefix_V, score, gate, dropout, scaling)
    if gate is not None:
        factor = gate[:, :, None, None].to(query.dtype)
        prefix_K, prefix_V = prefix_K * factor, prefix_V * factor
    key, value = torch.cat([prefix_K, key], dim=2), torch.cat([prefix_V, value], dim=2)
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=score, dropout_p=dropout, scale=scaling
    )


def _score(mask: Tensor | None, bias: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Mask and bias as numbers to be added to the scores."""
    if mask is not None and mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(
            ~mask, torch.finfo(dtype).min
        )
    if bias is None or mask is None:
        return mask if bias is None else bias.to(dtype)
    return mask + bias.to(dtype)


def _gated(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    prefix_K: Tensor,
    prefix_V: Tensor,
    score: Tensor | None,
    gate: Tensor,
    dropout: float,
    scaling: float | None,
) -> Tensor:
    """Every query weighs the prefix by its own gate (B, T), so that no token sees a later one through it."""
    groups = query.shape[1] // key.shape[1]
    key, value, prefix_K, prefix_V = (
        part.repeat_interleave(groups, dim=1) if groups > 1 else part
        for part in (key, value, prefix_K, prefix_V)
    )
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    factor = gate[:, None, :, None].to(query.dtype)
    count = prefix_K.shape[2]
    scores = torch.cat([query @ prefix_K.transpose(2, 3) * factor, query @ key.transpose(2, 3)], dim=3)
    if score is not None:
        scores = scores + score
    weights = F.dropout(scores.float().softmax(-1).to(query.dtype), p=dropout)
    return weights[..., :count] @ prefix_V * factor + weights[..., count:] @ value
