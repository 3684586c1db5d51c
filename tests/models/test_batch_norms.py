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


def untrained(*, rests=False):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2)
    )
    if rests:
        model[1].requires_grad_(False)
    batch_norms.hold(model)
    return model.train()


def test_layers_that_nobody_trained_are_found_and_those_that_rest_do_not_follow():
    assert set(batch_norms.untaught(untrained())) == {"1", "4"}
    assert set(batch_norms.following(untrained(rests=True)).layers) == {"4"}
    taught = untrained()
    for place in (1, 4):
        taught[place].running_mean.normal_()
    assert batch_norms.following(taught) is None
    with torch.device("meta"):
        assert batch_norms.following(untrained()) is None


def test_they_learn_as_torchs_own_do_and_statistics_are_those_of_the_whole_step():
    ours, theirs, pixels = untrained(), untrained(), torch.randn(6, 3, 8, 8)
    for module in theirs:
        module._forward_pre_hooks.clear()
    norms, before = batch_norms.following(ours), pixels.clone()
    with norms.hears():
        for part in (pixels[:4], pixels[4:]):
            torch.testing.assert_close(mine := ours(part), own := theirs(part))
            mine.pow(2).sum().backward()
            own.pow(2).sum().backward()
            with torch.no_grad():
                assert not torch.allclose(ours(part), own)  # whoever is asked goes by what is known so far
            norms.take(counts=True)
        ours(100 * pixels)
        norms.take(counts=False)  # it only kept company
        norms.follow(lambda *values: list(values))
    for mine, own in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, own.grad)
    # The first step is taken over whole; torch's variance of the whole step, over n as it normalises.
    seen = ours[0](before).detach()
    torch.testing.assert_close(ours[1].running_mean, seen.mean((0, 2, 3)))
    torch.testing.assert_close(ours[1].running_var, seen.var((0, 2, 3), correction=0))
    assert ours[1].momentum == 0.1
    assert int(ours[1].num_batches_tracked) == 0
    first = ours[1].running_mean.clone()
    with norms.hears():
        ours(pixels + 1)
        norms.take(counts=True)
        norms.forget()
        ours(pixels + 1)
        norms.take(counts=True)
        norms.follow(lambda *values: list(values))
    now = ours[0](pixels + 1).detach().mean((0, 2, 3))
    torch.testing.assert_close(ours[1].running_mean, first + batch_norms.RATE * (now - first))


def test_a_single_value_is_normalised_by_what_is_known():
    norm = nn.BatchNorm2d(3)
    batch_norms.hold(norm.train())
    norms = batch_norms.following(norm)
    with norms.hears():
        torch.testing.assert_close(norm(torch.ones(1, 3, 1, 1)), torch.ones(1, 3, 1, 1), rtol=1e-4, atol=0)
