"""Batch normalisation by the base's statistics has the gradient of a scale and a shift, of one picture, too."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from weitiao.models import batch_norms


@pytest.mark.parametrize("pictures", [1, 3])
def test_the_gradient_is_that_of_a_scale_and_a_shift_whatever_order_it_comes_in(pictures):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(16)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    batch_norms.hold(norm.train())
    pixels = torch.randn(pictures, 16, 8, 8, requires_grad=True)
    # Positions side by side, as detectors read them: the gradient comes with these strides.
    place = torch.full((pictures, 1, 16), 3)
    norm(pixels).flatten(2).permute(0, 2, 1).gather(1, place).pow(2).sum().backward()
    flat = pixels.detach().flatten(2)[:, :, 3]
    plain = (flat - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    upstream = 2 * (plain * norm.weight + norm.bias).detach()
    torch.testing.assert_close(norm.bias.grad, upstream.sum(0))
    torch.testing.assert_close(norm.weight.grad, (upstream * plain).sum(0))
