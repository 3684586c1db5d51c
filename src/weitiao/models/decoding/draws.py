"""Words that are drawn: how likely each is, and which it is, by seed, row and place alone.

    log_probabilities(scores_NV, temperature=0.7, top_k=50, top_p=0.9)  ->  (N, V), -inf where a word takes no part
    draw(scores_NV, Decoding(...), [(row, place), ...], model)          ->  tokens (N,), their log-probabilities (N,)

Every word waits for a time that is exponential with its probability as its rate, and the first to come is drawn (the
Gumbel-max trick, as in torch.multinomial).  The times are a hash of seed, row, place and word, and no generator has a
state: whoever shares a pass, however many there are, in what order, on what device, and however often a row begins again,
it gets the same word.  Scores that differ in their last digits, as they do in another company, give another word only
where two were as early.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from weitiao.core.errors import fault
from weitiao.models.decoding.answers import Decoding

# N rows, V vocabulary, K of the likeliest words
SOUGHT = 256
"""Words among which the likeliest of `top_p` are looked for first: to sort all costs as much as a pass of a small model."""
CACHED = 2**16
"""Numbers that a CPU's core keeps at hand."""
AT_ONCE = 2**24
"""Numbers that are worked on at once elsewhere: some copies of them take memory."""
FACTORS = (0x7FEB352D, 0x846CA68B - (1 << 32))
SHIFTS = (16, 15, 16)
"""Of a hash of 32 bits without bias that could be found (Wellons 2018, hash-prospector, lowbias32)."""


def log_probabilities(
    scores_NV: Tensor, *, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """How likely each word is to be drawn, (N, V), as Transformers' processors of these names leave it; words that are as
    likely take part together or not at all.

    Args:
        scores_NV: in float32; gradients flow through.
        temperature: what scores are divided by.
        top_k: so many of the likeliest words take part; None or 0: all.
        top_p: of these the likeliest that together have this probability; None or 1: all.
    """
    if temperature != 1:
        # The highest score becomes 0: no temperature makes it infinite.
        scores_NV = (scores_NV - scores_NV.detach().amax(-1, keepdim=True)) / temperature
    if top_k and top_k < scores_NV.shape[-1]:
        least_N1 = scores_NV.detach().topk(top_k).values[:, -1:]
        scores_NV = scores_NV.masked_fill(scores_NV < least_N1, -torch.inf)
    if top_p is not None and top_p < 1:
        scores_NV = scores_NV.masked_fill(scores_NV < _least(scores_NV.detach(), top_p), -torch.inf)
    return scores_NV.log_softmax(-1)


def draw(
    scores_NV: Tensor, asked: Decoding, places: Sequence[tuple[int, int]], model: Any
) -> tuple[Tensor, Tensor]:
    """A token for every row, (N,), and its log-probability, (N,).

    Args:
        scores_NV: in float32.
        asked: how words are drawn.
        places: of every row its number, and the place of the word in its answer.
        model: whose scores these are.

    Raises:
        WeitiaoError: `no_numbers`.
    """
    chance = secrets.randbits(64) if asked.seed is None else asked.seed
    keys_N2 = torch.tensor([key(chance, *place) for place in places], dtype=torch.int32)
    # On a CPU a few rows at a time: what is worked on stays in its cache, which is three times as fast.
    few = max(1, (CACHED if scores_NV.device.type == "cpu" else AT_ONCE) // scores_NV.shape[-1])
    parts = zip(scores_NV.split(few), keys_N2.to(scores_NV.device).split(few), strict=True)
    tokens, logps = zip(*(_drawn(scores, keys, asked) for scores, keys in parts), strict=True)
    logps_N = torch.cat(logps)
    if not bool(logps_N.isfinite().all()):
        raise fault("no_numbers", ref=model.name_or_path or type(model).__name__)
    return torch.cat(tokens), logps_N


class Drawing:
    """A processor of scores for Transformers' `generate`: of every row it leaves the word that is drawn.

    Args:
        asked: how words are drawn.
        rows: numbers of the rows, in the order of their scores.
        before: tokens before the answer.
        model: who generates.
    """

    def __init__(self, asked: Decoding, rows: Sequence[int], before: int, model: Any):
        self.asked, self.rows, self.before, self.model = asked, rows, before, model
        self.logps: list[list[float]] = [[] for _ in rows]
        """Of each row, those of what was drawn; also behind its end, as long as others go on."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores that `generate` goes by: 0 for one word, -inf for all others."""
        place = input_ids.shape[1] - self.before
        tokens_N, logps_N = draw(scores.float(), self.asked, [(row, place) for row in self.rows], self.model)
        for told, logp in zip(self.logps, logps_N.tolist(), strict=True):
            told.append(logp)
        return torch.full_like(scores, -torch.inf).scatter_(-1, tokens_N[:, None], 0.0)


def _least(scores_NV: Tensor, top_p: float) -> Tensor:
    """The least score of the likeliest words that together have this probability, (N, 1)."""
    whole_N1, most = scores_NV.logsumexp(-1, keepdim=True), scores_NV.shape[-1]
    sought = min(SOUGHT, most)
    while True:
        best_NK = scores_NV.topk(sought).values
        share_NK = (best_NK - whole_N1).exp()
        # Whoever has less than that before it takes part: the first always.
        part_NK = share_NK.cumsum(-1) - share_NK < top_p
        if sought == most or not bool(part_NK[:, -1].any()):
            return best_NK.gather(-1, part_NK.sum(-1, keepdim=True) - 1)
        sought = min(16 * sought, most)


def _drawn(scores_NV: Tensor, keys_N2: Tensor, asked: Decoding) -> tuple[Tensor, Tensor]:
    logps_NV = log_probabilities(
        scores_NV, temperature=asked.temperature, top_k=asked.top_k, top_p=asked.top_p
    )
    tokens_N1 = logps_NV.exp().div_(waits(keys_N2, scores_NV.shape[-1])).argmax(-1, keepdim=True)
    return tokens_N1[:, 0], logps_NV.gather(-1, tokens_N1)[:, 0]


def waits(keys_N2: Tensor, words: int) -> Tensor:
    """How long each word waits, (N, V), by the numbers of `key`: exponential with mean 1."""
    words_V = torch.arange(words, dtype=torch.int32, device=keys_N2.device)
    hashed_NV = _mixed(_mixed(words_V ^ keys_N2[:, :1]).add_(keys_N2[:, 1:]))
    # 31 bits, for the sign is one.  Never 0; small ones, which win, are exact, and 1 makes a word wait for ever.
    uniform_NV = hashed_NV.bitwise_and_(0x7FFFFFFF).float().add_(0.5).mul_(-(2.0**-31))
    return uniform_NV.log1p_().neg_()


def _mixed(bits_NV: Tensor) -> Tensor:
    """The hash, in place: each bit of it depends on all bits."""
    for shift, factor in zip(SHIFTS, (*FACTORS, 1), strict=True):
        # Without the sign, which a shift would repeat.
        bits_NV ^= (bits_NV >> shift).bitwise_and_((1 << (32 - shift)) - 1)
        if factor != 1:
            bits_NV *= factor
    return bits_NV


def key(seed: int, row: int, place: int) -> tuple[int, int]:
    """Two numbers of 32 bits, which say all chance of a draw."""
    told = hashlib.blake2b(f"{seed} {row} {place}".encode(), digest_size=8).digest()
    return int.from_bytes(told[:4], "little", signed=True), int.from_bytes(told[4:], "little", signed=True)
