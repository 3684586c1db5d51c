"""Attention of a short row against torch's own, in double precision and in bfloat16."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from weitiao.models.short_rows import short_row


def drawn(heads: int, keys: int, length: int, dtype: torch.dtype) -> list[torch.Tensor]:
    torch.manual_seed(length)
    sizes = [(heads, length, 8), (keys, length, 8), (keys, length, 8), (heads, length, 8)]
    return [
        torch.randn(size, dtype=torch.double).to(dtype).requires_grad_(i < 3) for i, size in enumerate(sizes)
    ]


def reference(query, key, value, scaling):
    """The textbook's, every key repeated for its heads, in double precision."""
    query, key, value = (x.detach().double().requires_grad_() for x in (query, key, value))
    share = query.shape[0] // key.shape[0]
    scores = query @ key.repeat_interleave(share, 0).transpose(1, 2) * scaling
    earlier = torch.ones(scores.shape[1:], dtype=torch.bool).tril()
    y = scores.masked_fill(~earlier, -torch.inf).softmax(-1) @ value.repeat_interleave(share, 0)
    return y, (query, key, value)


@pytest.mark.parametrize(("heads", "keys"), [(4, 4), (6, 2), (3, 1)])
@pytest.mark.parametrize("length", [1, 2, 17])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_output_and_gradients_are_those_of_the_formula(heads, keys, length, dtype, tolerance):
    query, key, value, back = drawn(heads, keys, length, dtype)
    y = short_row(query, key, value, scaling=0.5)
    expected, exact = reference(query, key, value, 0.5)
    found = (y, *torch.autograd.grad(y, (query, key, value), back))
    known = (expected, *torch.autograd.grad(expected, exact, back.double()))
    for a, b in zip(found, known, strict=True):
        assert a.dtype == dtype
        # In shares of the whole: single numbers near zero are differences of larger ones.
        assert (a.detach().double() - b.detach()).norm() <= tolerance * max(float(b.detach().norm()), 1e-2)


def test_the_scale_is_that_of_the_width_unless_told():
    query, key, value, _ = drawn(4, 2, 9, torch.float32)
    with torch.no_grad():
        known = F.scaled_dot_product_attention(
            query[None], key[None], value[None], is_causal=True, enable_gqa=True
        )
        torch.testing.assert_close(short_row(query, key, value, scaling=None), known[0])
