"""Packed rows on a device: one call for all of them, and never a wait for the device to say where they end.

    query (1, H, T, D), key and value (1, K, S, D), bounds [0, 5, 9, 20]  ->  attend(...)  ->  (1, T, H, D)

| where | how |
| --- | --- |
| CUDA, half precision, no dropout, what torch's flash attention takes, and the trial holds | `varlen_attn`: flash attention over rows of any length (Dao 2023, arXiv 2307.08691), the sum of squares |
| everywhere else | `scaled_dot_product_attention` with a mask of the same meaning: the square of the sum |

`able` decides, and nobody else.  What torch says of its kernel is not believed: before the first use on a device, in a
dtype and for a shape of heads, random rows go through it and through the other way, forward and backward.  Both mean
the same, so that what `models.examine` measures in float32 holds for the kernel.

No GPU has run this yet: speed and memory are unmeasured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from weitiao.models.linear import half_of
from weitiao.models.memory_ran_out import ran_out
from weitiao.models.short_rows import Piece

Way = Callable[..., Tensor]
TRIED = (5, 1, 200, 63)
"""Rows of a trial, in tokens: shorter and longer than the kernel's blocks of 64 to 128."""
WINDOW = 20
"""Of a trial, where the model slides one: shorter than the longest row."""
SAME = 0.03
"""How far output and gradients may be apart, as shares of their norms: bfloat16 rounds by up to 0.4 % at each product;
a leak, a lost mask or a window of another width gave 10 % and more."""


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bounds: Tensor,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    window: int | None = None,
    keys: Tensor | None = None,
    causal: bool = True,
) -> Tensor:
    """Attention inside each row, (1, T, H, D).

    Args:
        query: (1, H, T, D).
        key: (1, K, S, D); K divides H, and head h sees key h // (H / K).
        value: as the keys.
        bounds: where rows begin and the last one ends, (rows + 1,), on the CPU.
        dropout: share of the weights that drop out.
        scaling: what scores are multiplied by; default: D ** -0.5.
        window: how many tokens each sees, itself among them; default: all before it.
        keys: where the rows of the keys begin and end, (rows + 1,), on the CPU; default: as those of the queries.
        causal: does every token see itself and those before it alone?  The last of each row sees all keys of that row.
    """
    keys = bounds if keys is None else keys
    # Under autocast rotated queries are float32 and values are not; torch's own attention would cast them, too.
    dtype = half_of(query) or query.dtype
    query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    where: dict[str, Any] = {"scaling": scaling, "window": window, "keys": keys, "causal": causal}
    asked: dict[str, Any] = {"slides": window is not None, "causal": causal, "behind": keys is not bounds}
    if able(query, key, value, dropout=dropout, **asked):
        return varlen(query, key, value, bounds, **where)
    return masked(query, key, value, bounds, dropout=dropout, **where)


def copied(key: Tensor, value: Tensor, pieces: Sequence[Piece]) -> tuple[Tensor, Tensor, Tensor]:
    """Keys and values (1, K, S, D) with all that each piece goes on from copied before its own, and where each piece's
    then begin and the last one's end, on the CPU.

    Args:
        key: (1, K, T, D).
        value: as the keys.
        pieces: where the queries of each lie, and what they see.
    """
    spans = [span for _, seen in pieces for span in seen]
    place_S = torch.cat([torch.arange(start, end) for start, end in spans]).to(key.device, non_blocking=True)
    sizes = [sum(end - start for start, end in seen) for _, seen in pieces]
    return key[:, :, place_S], value[:, :, place_S], torch.tensor([0, *sizes]).cumsum(0)


def able(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    dropout: float,
    slides: bool,
    causal: bool = True,
    behind: bool = False,
) -> bool:
    """May the variable-length kernel be asked?"""
    if query.device.type != "cuda" or dropout or query.shape[-1] != value.shape[-1]:
        return False
    heads, keys, width = query.shape[1], key.shape[1], query.shape[-1]
    # It knows dtypes, widths and generations of GPUs, and whether somebody has turned flash attention off.
    asked = torch.backends.cuda.SDPAParams(query, key, value, None, 0.0, causal, heads != keys)
    if not torch.backends.cuda.can_use_flash_attention(asked):
        return False
    return _holds(varlen, query.device, query.dtype, heads, keys, width, slides, causal, behind)


def varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bounds: Tensor,
    *,
    scaling: float | None,
    window: int | None,
    keys: Tensor | None = None,
    causal: bool = True,
) -> Tensor:
    """By torch's kernel."""
    from torch.nn.attention.varlen import varlen_attn

    keys = bounds if keys is None else keys
    longest, most = (int(each.diff().max()) for each in (bounds, keys))
    ends, key_ends = (each.to(torch.int32).to(query.device, non_blocking=True) for each in (bounds, keys))
    query_THD, key_TKD, value_TKD = (part[0].transpose(0, 1) for part in (query, key, value))
    y_THD: Any = varlen_attn(
        query_THD,
        key_TKD,
        value_TKD,
        ends,
        key_ends,
        longest,
        most,
        scale=scaling,
        # Tokens seen to the left and to the right of a token, besides itself; -1: all of them.
        window_size=(-1 if window is None or window >= most else window - 1, 0 if causal else -1),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return y_THD[None]


def masked(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bounds: Tensor,
    *,
    dropout: float = 0.0,
    scaling: float | None,
    window: int | None,
    keys: Tensor | None = None,
    causal: bool = True,
) -> Tensor:
    """By the attention that torch has for everything."""
    keys = bounds if keys is None else keys
    (left_T, row_T), (left_S, row_S) = (_rows(ends, part) for ends, part in ((bounds, query), (keys, key)))
    seen_TS = row_T[:, None] == row_S
    # From the end: keys that a row has more than queries stand before it.
    back_TS = left_S - left_T[:, None]
    if causal:
        seen_TS &= back_TS >= 0
    if window is not None:
        seen_TS &= back_TS < window
    if (groups := query.shape[1] // key.shape[1]) > 1:  # with a mask, torch's fused kernels take no groups
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    y = F.scaled_dot_product_attention(query, key, value, attn_mask=seen_TS, dropout_p=dropout, scale=scaling)
    return y.transpose(1, 2).contiguous()


def _rows(bounds: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
    """Of every token of queries or keys (1, H, T, D) how many of its row stand behind it, and which row that is."""
    place_T = torch.arange(part.shape[2], device=part.device)
    bounds = bounds.to(part.device, non_blocking=True)
    row_T = torch.bucketize(place_T, bounds, right=True)
    return bounds[row_T] - 1 - place_T, row_T


@cache
def _holds(
    way: Way,
    device: torch.device,
    dtype: torch.dtype,
    heads: int,
    keys: int,
    width: int,
    slides: bool,
    causal: bool = True,
    behind: bool = False,
) -> bool:
    """Does it give what the masked way gives?  Tried in a thread of its own: autocast, recomputation of activations and
    other modes of the pass that is under way do not reach there."""
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(_tried, way, device, dtype, heads, keys, width, slides, causal, behind).result()


def _tried(
    way: Way,
    device: torch.device,
    dtype: torch.dtype,
    heads: int,
    keys: int,
    width: int,
    slides: bool,
    causal: bool,
    behind: bool,
) -> bool:
    bounds = torch.tensor([0, *TRIED]).cumsum(0)
    where: dict[str, Any] = {"scaling": None, "window": WINDOW if slides else None}
    if not causal:  # as rows that look at other rows, of other lengths
        where |= {"keys": torch.tensor([0, *reversed(TRIED)]).cumsum(0), "causal": False}
    elif behind:  # as pieces that go on from others
        where["keys"] = bounds + torch.tensor([0, *reversed(TRIED)]).cumsum(0)
    chance = torch.Generator().manual_seed(0)
    tokens = int(bounds[-1])
    seen = int(where.get("keys", bounds)[-1])
    sizes = ((heads, tokens), (keys, seen), (keys, seen))
    drawn = [torch.randn(1, count, length, width, generator=chance) for count, length in sizes]
    back = torch.randn(1, tokens, heads, width, generator=chance)
    found = []
    try:
        for how, precision in ((way, dtype), (masked, torch.float32)):
            # Both from the same rounded numbers.
            parts = [part.to(device, dtype).to(precision).requires_grad_() for part in drawn]
            query, key, value = parts
            y = how(query, key, value, bounds, **where)
            slopes = torch.autograd.grad(y, parts, back.to(device, dtype).to(precision))
            found.append([each.detach().float() for each in (y, *slopes)])
    except Exception as error:  # of a kernel, a driver or a compiler: there is another way
        if ran_out(error):
            raise  # which would say nothing of the kernel
        return False
    return all(bool((a - b).norm() <= SAME * b.norm()) for a, b in zip(*found, strict=True))
