"""Learning rates: every schedule beside Transformers' or torch's, step by step; what is refused; the plateau."""

from __future__ import annotations

import math
import warnings
from typing import get_args

import pytest
import torch
from torch.optim import lr_scheduler

from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Recipe, Train
from weitiao.core.renamed import SCHEDULES as ELSEWHERE
from weitiao.train import optim
from weitiao.train.optim.schedules import SCHEDULES

PEAK, TOTAL = 0.2, 40


def made(kind: str, *, warmup: float = 0, **kwargs) -> optim.Schedule:
    return optim.schedule(Train(lr_scheduler_type=kind, lr_scheduler_kwargs=kwargs, warmup_steps=warmup))


def ours(kind: str, *, warmup: float = 0, **kwargs) -> list[float]:
    schedule = made(kind, warmup=warmup, **kwargs)
    return [PEAK * schedule.share(step, total=TOTAL, peak=PEAK) for step in range(TOTAL)]


def sgd() -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)


def walked(make) -> list[float]:
    """The rates of another library's scheduler."""
    optimizer = sgd()
    scheduler, rates = make(optimizer), []
    for _ in range(TOTAL):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def counted_from_one(rates: list[float], warmup: int) -> list[float]:
    """Another library's rates with its warm-up one step ahead: the first step has a rate, the last one the whole."""
    return [*rates[1 : warmup + 1], *rates[warmup:]]


def transformers(name: str, warmup: int, kwargs: dict) -> list[float]:
    from transformers import get_scheduler

    def make(optimizer):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # both total and stable steps of a WSD: the stable ones count
            return get_scheduler(name, optimizer, warmup, TOTAL, scheduler_specific_kwargs=kwargs)

    return counted_from_one(walked(make), warmup)


def test_the_recipe_names_what_there_is():
    assert set(get_args(Train.model_fields["lr_scheduler_type"].annotation)) == set(SCHEDULES)


@pytest.mark.parametrize("warmup", [0, 3, 0.25])
@pytest.mark.parametrize(
    ("kind", "theirs", "kwargs"),
    [
        ("constant", "constant_with_warmup", {}),
        ("linear", "linear", {}),
        ("cosine", "cosine", {}),
        ("cosine", "cosine", {"num_cycles": 1.5}),
        ("cosine_with_restarts", "cosine_with_restarts", {}),
        ("cosine_with_restarts", "cosine_with_restarts", {"num_cycles": 3}),
        ("polynomial", "polynomial", {}),
        ("polynomial", "polynomial", {"power": 2.0, "lr_end": 0.01}),
        ("inverse_sqrt", "inverse_sqrt", {}),
        ("inverse_sqrt", "inverse_sqrt", {"timescale": 7}),
        ("warmup_stable_decay", "warmup_stable_decay", {"num_decay_steps": 10}),
        (
            "warmup_stable_decay",
            "warmup_stable_decay",
            {"num_decay_steps": 8, "num_stable_steps": 9, "decay_type": "linear", "min_lr_ratio": 0.1},
        ),
        (
            "warmup_stable_decay",
            "warmup_stable_decay",
            {"num_decay_steps": 11, "warmup_type": "cosine", "decay_type": "1-sqrt"},
        ),
        (
            "warmup_stable_decay",
            "warmup_stable_decay",
            {"num_decay_steps": 11, "warmup_type": "1-sqrt", "num_cycles": 1.5, "min_lr_ratio": 0.2},
        ),
    ],
)
def test_schedules_equal_transformers(kind, theirs, kwargs, warmup):
    steps = 10 if warmup == 0.25 else warmup
    assert ours(kind, warmup=warmup, **kwargs) == pytest.approx(
        transformers(theirs, steps, kwargs), abs=1e-12
    )


@pytest.mark.parametrize("warmup", [0, 5])
def test_a_cosine_that_ends_above_zero_equals_transformers(warmup):
    theirs = transformers("cosine_with_min_lr", warmup, {"min_lr_rate": 0.3})
    assert ours("cosine", warmup=warmup, min_lr_ratio=0.3) == pytest.approx(theirs, abs=1e-12)
    assert min(theirs[warmup:]) > 0.3 * PEAK


def warm(optimizer, steps: int):
    return lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / steps))


@pytest.mark.parametrize("warmup", [0, 5])
@pytest.mark.parametrize("step_size", [6, 0.25])
def test_steps_of_one_size_equal_torch(warmup, step_size):
    def make(optimizer):
        after = lr_scheduler.StepLR(optimizer, 10 if step_size == 0.25 else step_size, gamma=0.5)
        return (
            lr_scheduler.SequentialLR(optimizer, [warm(optimizer, warmup), after], [warmup])
            if warmup
            else after
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's SequentialLR calls step with an epoch, which it deprecates
        theirs = walked(make)
    theirs = counted_from_one(theirs, warmup)
    assert ours("step", warmup=warmup, step_size=step_size, gamma=0.5) == pytest.approx(theirs)


@pytest.mark.parametrize("warmup", [0, 5])
def test_milestones_equal_torch(warmup):
    theirs = walked(lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [12, 20, 36], gamma=0.3))
    theirs[:warmup] = [PEAK * step / warmup for step in range(1, warmup + 1)]
    assert ours("step", warmup=warmup, milestones=[12, 0.5, 0.9], gamma=0.3) == pytest.approx(theirs)


VALUES = [
    5.0,
    4.0,
    4.1,
    4.05,
    3.9999,
    4.2,
    3.0,
    3.1,
    3.2,
    float("nan"),
    3.3,
    3.4,
    2.0,
    2.1,
    2.2,
    2.3,
    2.4,
    2.5,
    2.6,
]


@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize(
    "kwargs",
    [
        {"patience": 1},
        {"patience": 0, "factor": 0.5, "min_lr": 0.03},
        {"patience": 1, "cooldown": 2, "threshold_mode": "abs", "threshold": 0.5},
        {"patience": 0, "factor": 0.999999999, "eps": 1e-6},
        {"patience": 1, "threshold": 0.2},
    ],
)
def test_a_plateau_equals_torch(kwargs, higher):
    values = [-value if higher else value for value in VALUES] + [9.0, 9.5, 9.5, 9.5]
    optimizer, schedule, memory = sgd(), made("reduce_lr_on_plateau", **kwargs), {}
    theirs = lr_scheduler.ReduceLROnPlateau(optimizer, mode="max" if higher else "min", **kwargs)
    rates = []
    for value in values:
        theirs.step(value)
        memory = schedule.hear(memory, value, peak=PEAK, higher_is_better=higher)
        rates.append(PEAK * schedule.share(7, total=TOTAL, peak=PEAK, memory=memory))
        assert rates[-1] == pytest.approx(optimizer.param_groups[0]["lr"])
        assert all(math.isfinite(number) for number in memory.values())
    assert (len(set(rates)) > 1) == ("eps" not in kwargs)


def test_a_plateau_begins_after_the_warm_up():
    schedule = made("reduce_lr_on_plateau", warmup=4)
    shares = [schedule.share(step, total=TOTAL, memory={"scale": 0.1}) for step in range(6)]
    assert shares == [0.25, 0.5, 0.75, 1, 0.1, 0.1]


@pytest.mark.parametrize("kind", sorted(set(SCHEDULES) - {"step"}))
def test_step_k_of_w_has_k_of_w(kind):
    shares = [made(kind, warmup=4).share(step, total=TOTAL) for step in range(5)]
    assert shares[:4] == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1])
    assert made(kind, warmup=0.06).share(0, total=8 if kind == "warmup_stable_decay" else 1) == 1


def test_every_group_goes_its_own_way_and_the_rate_is_told_without_factors():
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [
        {"params": [w], "lr": PEAK * f, "peak_lr": PEAK * f} for w, f in zip(weights, (1, 5), strict=True)
    ]
    optimizer = torch.optim.SGD(groups, lr=PEAK)
    for step in (0, 10, 3):  # a function of the step, not of the steps before
        rate = made("linear").apply(optimizer, step, total=TOTAL)
        assert rate == PEAK * (1 - step / TOTAL)
        assert [group["lr"] for group in optimizer.param_groups] == [rate, pytest.approx(5 * rate)]


@pytest.mark.parametrize(
    ("kind", "kwargs", "message"),
    [
        ("cosine", {"num_cycle": 2}, r"unknown_key\].*lr_scheduler_kwargs.num_cycle.*num_cycles"),
        ("cosine", {"min_lr_rate": 0.1}, r"unknown_key\].*-> min_lr_ratio"),
        ("cosine", {"warmup_steps": 3}, r"unknown_key\].*-> train.warmup_steps"),
        ("linear", {"power": 2}, r"unknown_key\].*lr_scheduler_kwargs.power"),
        ("cosine", {"num_cycles": "two"}, r"wrong_value\] train.lr_scheduler_kwargs.num_cycles: 'two'"),
        ("cosine_with_restarts", {"num_cycles": 0}, r"wrong_value\].*greater than or equal to 1"),
        ("step", {}, r"wrong_value\].*give step_size or milestones"),
        ("step", {"step_size": 3, "milestones": [4]}, r"wrong_value\].*give step_size or milestones"),
        ("warmup_stable_decay", {"decay_type": "sine"}, r"wrong_value\].*'cosine'"),
        ("reduce_lr_on_plateau", {"mode": "min"}, r"unknown_key\].*metric_for_best_model"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_by_name(kind, kwargs, message):
    with pytest.raises(WeitiaoError, match=message):
        made(kind, **kwargs)


@pytest.mark.parametrize(
    ("kind", "kwargs", "message"),
    [
        ("polynomial", {"lr_end": 0.2}, r"lr_end: 0.2 does not fit: the learning rate begins at 0.2"),
        ("warmup_stable_decay", {"num_decay_steps": 38}, r"3 steps of warm-up, 0 on the level and 38 down"),
        (
            "warmup_stable_decay",
            {"num_decay_steps": 0.5, "num_stable_steps": 18},
            r"3 steps of warm-up, 18 on the level and 20 down are more than the run's 40",
        ),
    ],
)
def test_a_setting_that_does_not_fit_the_run_is_refused_at_its_first_step(kind, kwargs, message):
    with pytest.raises(WeitiaoError, match=message):
        made(kind, warmup=3, **kwargs).share(0, total=TOTAL, peak=PEAK)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_it_is_called_elsewhere_is_answered_with_our_name(name):
    tree = {"model": "-", "task": "-", "output_dir": "-"}
    with pytest.raises(WeitiaoError, match=r"wrong_value\] train.lr_scheduler_type: .* here it is") as caught:
        Recipe.read(tree, [f"train.lr_scheduler_type={name}"])
    named = str(caught.value).partition("here it is ")[2].split()[0].rstrip(".")
    assert named in SCHEDULES
