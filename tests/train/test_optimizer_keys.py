"""What the recipe says of an optimiser is read, refused where it would be ignored, and written out again."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Recipe, Train
from weitiao.core.renamed import OPTIMIZERS as ELSEWHERE
from weitiao.train import optim
from weitiao.train.optim.optimizers import KINDS


def test_the_recipe_names_what_there_is():
    assert set(get_args(Train.model_fields["optim"].annotation)) == set(KINDS)


@pytest.mark.parametrize(
    ("settings", "reads"),
    [
        ({"optim": "sgd", "learning_rate": 0.1, "adam_beta1": 0.8}, "adam_beta1"),
        ({"optim": "lion", "adam_epsilon": 1e-3}, "adam_epsilon"),
        ({"optim": "adafactor", "adam_beta2": 0.9}, "adam_beta2"),
        ({"momentum": 0.5}, "momentum"),
    ],
)
def test_a_key_that_the_optimiser_does_not_read_is_refused(settings, reads):
    with pytest.raises(WeitiaoError, match=rf"unfit_training\] train.{reads}: .* does not read it") as caught:
        optim.resolved(Train(**settings), usual_rate=1e-3)
    (offered,) = (line for line in str(caught.value).splitlines() if "an optim of" in line)
    for name in offered.partition("an optim of: ")[2].rstrip(".").split(", "):
        optim.resolved(Train(**{"learning_rate": 0.1, **settings, "optim": name}), usual_rate=1e-3)


def test_what_is_left_open_is_written_out_and_read_again():
    found = optim.resolved(Train(optim="lion", lr_scheduler_type="cosine"), usual_rate=6e-4)
    assert found == {
        "learning_rate": pytest.approx(2e-4),
        "adam_beta1": 0.9,
        "adam_beta2": 0.99,
        "adam_epsilon": None,
        "momentum": None,
        "lr_scheduler_kwargs": {"num_cycles": 0.5, "min_lr_ratio": 0.0},
    }
    again = Train(optim="lion", lr_scheduler_type="cosine", **found)
    assert optim.resolved(again, usual_rate=7) == found
    # The recipe that AdamW's run wrote serves another optimiser, too.
    written = optim.resolved(Train(), usual_rate=5e-4)
    assert optim.resolved(Train(optim="sgd", **written), usual_rate=7)["adam_beta1"] is None


@pytest.mark.parametrize("name", KINDS)
def test_shares_of_a_weight_are_only_for_who_treats_every_number_by_itself(name):
    """Some rows of a matrix move as they do within the whole, or the optimiser refuses to be dealt shares."""
    shares = Train(optim=name, data_parallel="fsdp", learning_rate=0.01)
    a, b = nn.Module(), nn.Module()
    a.weight, drawn = nn.Parameter(torch.zeros(128, 128)), torch.ones(128, 128)
    drawn[:, ::3] = 0.3
    drawn[61] = 100  # just behind the rows that are taken out, within the same block of 8-bit moments
    b.weight = nn.Parameter(a.weight.detach()[:61].clone())
    for model, gradient in ((a, drawn), (b, drawn[:61].clone())):
        groups = [{"params": [model.weight], "lr": 0.1, "peak_lr": 0.1, "weight_decay": 0.0, "matrix": True}]
        optimizer = KINDS[name].make(groups, 0.1, KINDS[name].reads)
        for _ in range(3):
            model.weight.grad = gradient
            optimizer.step()
    if torch.equal(a.weight[:61], b.weight):
        optim.resolved(shares, usual_rate=1e-3)
    else:
        with pytest.raises(WeitiaoError, match=rf"wrong_usage\] train.optim={name} looks at whole weights"):
            optim.resolved(shares, usual_rate=1e-3)


def test_sgd_must_be_told_its_rate():
    with pytest.raises(WeitiaoError, match=r"wrong_usage\] sgd has no usual learning rate"):
        optim.resolved(Train(optim="sgd"), usual_rate=1e-3)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_it_is_called_elsewhere_is_answered_with_our_name(name):
    tree = {"model": "-", "task": "-", "output_dir": "-"}
    with pytest.raises(WeitiaoError, match=r"wrong_value\] train.optim: .* here it is") as caught:
        Recipe.read(tree, [f"train.optim={name}"])
    assert str(caught.value).partition("here it is ")[2].split()[0].rstrip(".") in KINDS
