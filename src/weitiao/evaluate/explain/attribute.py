"""What each word adds to a number: integrated gradients, and what becomes of the number without the word.

    integrated gradients   share_i = (x_i - x0_i) · mean over a in [0, 1] of  df / dx_i (x0 + a (x - x0))
                           Sundararajan et al. 2017, arXiv 1703.01365; the mean by Gauss-Legendre (captum), piece by
                           piece of the way: of each it is known what its shares must add up to
    completeness           sum of all shares = f(x) - f(x0);  gap = |sum - (f(x) - f(x0))| / |f(x) - f(x0)|
    without a word         f(x) - f(x, the word's vectors those of the baseline)

x is the row, x0 the row with the baseline's vector in the place of every word of the user's; special tokens, what a
template writes and padding are the same in both, so their share is 0.

    P passes of a row, T tokens, D width, N rows that are computed at once
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weitiao.core.errors import fault, need
from weitiao.core.why import reason

PIECES = 8
"""Of the way from baseline to row at first; those whose shares do not add up are halved, as long as steps are left."""
POINTS = 2
"""Steps of the integral in a piece."""
FEWEST, MOST = PIECES * POINTS, 256
"""Steps in all."""
COST = 6e11
"""Steps, times the tokens of a row, times the parameters of a model, that an explanation takes unless more are asked for."""
SMALL = 0.01
"""A gap below this is rounding."""
AT_ONCE = 4096
"""Tokens in a pass."""


@dataclass
class Shares:
    """What integrated gradients say."""

    token_PT: Any
    """Of each token (P, T); they add up to `value - baseline`, but for the gap."""
    value: float
    """The number, of the row."""
    baseline: float
    """The number, without all its words."""
    steps: int
    gap: float | None
    """None where both numbers are the same."""


def shares(
    score: Callable[[Tensor], Tensor], vectors_PTD: Tensor, baseline_PTD: Tensor, *, most: int = MOST
) -> Shares:
    """Integrated gradients of `score`, with as many steps as completeness asks for.

    Args:
        score: vectors of rows (N, P, T, D) -> the number of each (N,).
        vectors_PTD: the row, float32.
        baseline_PTD: what it is compared with.
        most: steps at most.

    Raises:
        WeitiaoError: `not_followed` when no gradient reaches the vectors; `missing_extra` without captum.
    """
    captum = need("captum.attr", extra="explain")
    x_1PTD, x0_1PTD = vectors_PTD[None].float(), baseline_PTD[None].float()
    _refuse_unreached(score, x_1PTD, (x_1PTD + x0_1PTD) / 2)
    with torch.no_grad():
        value, base = float(score(x_1PTD)[0]), float(score(x0_1PTD)[0])
    at_once = max(1, AT_ONCE // (vectors_PTD.shape[0] * vectors_PTD.shape[1]))
    integral, change, way_1PTD = captum.IntegratedGradients(score), value - base, x_1PTD - x0_1PTD
    edges = [piece / PIECES for piece in range(PIECES + 1)]
    inner = _scored(score, x0_1PTD, way_1PTD, edges[1:-1], at_once)
    known = dict(zip(edges, [base, *inner, value], strict=True))
    token_PT, off, fresh, steps = 0.0, dict[tuple[float, float], float](), list(pairwise(edges)), 0
    parts: dict[tuple[float, float], Any] = {}
    while fresh:
        lows, highs = (x0_1PTD + _column(ends, x0_1PTD) * way_1PTD for ends in zip(*fresh, strict=True))
        found = integral.attribute(highs, lows, n_steps=POINTS, internal_batch_size=max(at_once, len(fresh)))
        for piece, part in zip(fresh, found.double().sum(-1).detach().cpu().numpy(), strict=True):
            parts[piece] = part
            off[piece] = float(part.sum()) - (known[piece[1]] - known[piece[0]])
        steps += POINTS * len(fresh)
        token_PT = np.sum([*parts.values()], axis=0)
        gap = abs(float(token_PT.sum()) - change) / abs(change) if change else None
        if gap is None or gap < SMALL:
            break
        # What is left is spent where most is missing.
        room = (most - steps) // (2 * POINTS)
        missing = [piece for piece in off if abs(off[piece]) >= SMALL * abs(change) / len(off)]
        bad = sorted(missing, key=lambda piece: -abs(off[piece]))[: max(0, min(room, PIECES // 2))]
        middles = [(low + high) / 2 for low, high in bad]
        known |= dict(zip(middles, _scored(score, x0_1PTD, way_1PTD, middles, at_once), strict=True))
        fresh = [
            half
            for (low, high), middle in zip(bad, middles, strict=True)
            for half in ((low, middle), (middle, high))
        ]
        for piece in bad:
            del parts[piece], off[piece]
    return Shares(token_PT, value, base, steps, gap)


def affordable(parameters: int, tokens: int) -> int:
    """Steps that an explanation may take of a row of so many tokens, of a model of so many parameters."""
    return max(FEWEST, min(MOST, int(COST / (parameters * tokens))))


def _column(ends: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(ends, dtype=like.dtype, device=like.device)[:, None, None, None]


def _scored(
    score: Callable[[Tensor], Tensor], x0_1PTD: Tensor, way_1PTD: Tensor, at: Sequence[float], at_once: int
) -> list[float]:
    """The number at some places of the way."""
    found: list[float] = []
    with torch.no_grad():
        for start in range(0, len(at), at_once):
            rows = x0_1PTD + _column(at[start : start + at_once], x0_1PTD) * way_1PTD
            found += score(rows).double().tolist()
    return found


def without(
    score: Callable[[Tensor], Tensor],
    vectors_PTD: Tensor,
    baseline_PTD: Tensor,
    words: Sequence[Any],
    *,
    value: float,
) -> list[float]:
    """By how much the number falls without each word, one at a time.

    Args:
        score: as in `shares`.
        vectors_PTD: the row.
        baseline_PTD: what stands in the place of a word.
        words: of each, which tokens are its own, bool (P, T).
        value: the number of the row.
    """
    at_once = max(1, AT_ONCE // (vectors_PTD.shape[0] * vectors_PTD.shape[1]))
    found: list[float] = []
    for start in range(0, len(words), at_once):
        own_NPT = torch.from_numpy(np.stack(words[start : start + at_once])).to(vectors_PTD.device)
        rows_NPTD = torch.where(own_NPT[..., None], baseline_PTD[None].float(), vectors_PTD[None].float())
        with torch.no_grad():
            found += (value - score(rows_NPTD).double()).tolist()
    return found


def agreement(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Rank correlation of two columns; None where it is not defined (fewer than three words, all the same)."""
    from scipy.stats import spearmanr

    if len(one) < 3 or len({*one}) < 2 or len({*other}) < 2:
        return None
    return float(spearmanr(one, other).statistic)


def _refuse_unreached(score: Callable[[Tensor], Tensor], *places: Tensor) -> None:
    """Does a gradient reach the vectors at one of these places?  At one alone the number may stand still."""
    for place in places:
        leaf = place.clone().requires_grad_()
        with torch.enable_grad():
            said = score(leaf).sum()
        (found,) = torch.autograd.grad(said, leaf, allow_unused=True) if said.requires_grad else (None,)
        if found is not None and bool(found.isfinite().all()) and bool(found.abs().sum() > 0):
            return
    raise fault("not_followed", why=reason("gradient_unreached"))
