"""A linear layer and its low-rank change in one product: the plain composition, and float64, are the judges."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from weitiao.models import linear


def both(dtype: torch.dtype, *, bias: bool, three: bool):
    """The fused and the composed way: output, and gradients of x, A and B; and the same in float64."""
    torch.manual_seed(0)
    layer = nn.Linear(48, 40, bias=bias).requires_grad_(False).to(dtype)
    shape = (2, 9, 48) if three else (18, 48)
    x = torch.randn(shape)
    down, up = torch.randn(4, 48) / 7, torch.randn(40, 4) / 20
    weigh = torch.randn(*shape[:-1], 40)

    def found(way, kind):
        leaves = [
            t.to(kind if i == 0 else torch.promote_types(kind, torch.float32)).requires_grad_()
            for i, t in enumerate((x, down, up))
        ]
        y = way(*leaves)
        (y.double() * weigh.double()).sum().backward()
        return [y.double(), *(leaf.grad.double() for leaf in leaves)]

    exact_W, exact_b = layer.weight.double(), layer.bias.double() if bias else None
    exact = found(
        lambda x, a, b: F.linear(x.double(), exact_W, exact_b) + x.double() @ a.double().t() @ b.double().t(),
        torch.float64,
    )
    fused = found(lambda x, a, b: linear.plus_low_rank(layer, x, a, b), dtype)
    plain = found(lambda x, a, b: linear.plus(layer, x, linear.low_rank(x, a.to(dtype), b.to(dtype))), dtype)
    return fused, plain, exact


@pytest.mark.parametrize("three", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_one_product_is_as_near_to_the_truth_as_the_plain_way(dtype, bias, three):
    fused, plain, exact = both(dtype, bias=bias, three=three)
    unit = torch.finfo(dtype).eps
    for one, other, truth in zip(fused, plain, exact, strict=True):
        scale = truth.abs().mean()
        assert (one - truth).abs().mean() / scale < 2 * unit
        # No worse than the composition, up to chance.
        assert (one - truth).abs().mean() < 1.2 * (other - truth).abs().mean() + 1e-9


def test_nothing_is_computed_for_an_input_that_asks_for_no_gradient():
    layer = nn.Linear(8, 8).requires_grad_(False).bfloat16()
    down, up = torch.randn(2, 8, requires_grad=True), torch.randn(8, 2, requires_grad=True)
    linear.plus_low_rank(layer, torch.randn(3, 8).bfloat16(), down, up).sum().backward()
    assert down.grad.dtype == up.grad.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_without_a_gradient_it_is_the_same_product(dtype):
    torch.manual_seed(0)
    layer = nn.Linear(48, 40).requires_grad_(False).to(dtype)
    x, down, up = torch.randn(2, 3, 48), torch.randn(4, 48), torch.randn(40, 4, requires_grad=True)
    with torch.autocast("cpu", dtype):
        learnt = linear.plus_low_rank(layer, x, down, up)
        with torch.no_grad():
            said = linear.plus_low_rank(layer, x, down, up)
    assert learnt.requires_grad
    assert not said.requires_grad
    assert torch.equal(learnt, said)
