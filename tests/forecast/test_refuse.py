"""A run that cannot fit is refused before its first step, with changes that make it fit."""

from __future__ import annotations

import re

import pytest

import weitiao as wt
from tests.train.test_loop import KillAt, Killed
from weitiao import api
from weitiao.cli import run as weitiao
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.forecast import refuse
from weitiao.forecast.memory import Forecast
from weitiao.train import memory


@pytest.fixture
def room(monkeypatch):
    """Says how many bytes beyond what the process holds there are."""
    monkeypatch.setattr(refuse, "KERNELS", 0)
    monkeypatch.setattr(refuse, "resident", lambda: 0)

    def set_to(size):
        monkeypatch.setattr(memory, "free", lambda device: int(size))

    return set_to


def needs(recipe):
    """Tensors of the two heaviest stages, in bytes."""
    stages = api.plan(recipe).stages
    return {name: held.total for name, held in stages.items()}


@pytest.mark.whole
@pytest.mark.parametrize("kind", ["classify", "converse"])
def test_it_is_refused_with_changes_that_keep_the_global_batch(request, kind, room, monkeypatch):
    recipe = request.getfixturevalue(kind)(method="lora", per_device_train_batch_size=32, max_steps=2)
    room(needs(recipe)["train"] * 0.8)
    with pytest.raises(WeitiaoError, match="will_not_fit") as caught:
        wt.train(recipe)
    found = caught.value.values["changes"].split(", or ")
    assert found
    for words in found:
        sizes = dict(re.findall(r"train\.(\w+)=(\w+)", words))
        rows = int(sizes.get("per_device_train_batch_size", 32))
        assert rows * int(sizes.get("gradient_accumulation_steps", 1)) == 32
    # The folder may be claimed again, and what was told does fit.
    run = wt.train(recipe, overrides=found[0].split())
    assert run.results


@pytest.mark.whole
def test_a_run_that_no_change_makes_fit(classify, room, monkeypatch):
    room(100_000)
    with pytest.raises(WeitiaoError, match="will_never_fit"):
        wt.train(classify())


def test_the_base_alone_is_too_large(classify, room, monkeypatch):
    room(1000)
    recipe = classify()
    recipe["data"]["train"] = "not read yet"
    with pytest.raises(WeitiaoError, match=r"will_never_fit.*load"):
        wt.train(recipe)


def test_one_may_try_all_the_same(classify, room, monkeypatch):
    room(1000)
    assert wt.train(classify(check_memory=False, max_steps=1)).results


def test_a_disk_that_cannot_hold_the_checkpoints_is_told_before(classify, monkeypatch):
    monkeypatch.setattr(refuse, "free_bytes", lambda path: 10_000)
    with pytest.raises(WeitiaoError, match="disk_full"):
        wt.train(classify())
    assert wt.train(classify(check_memory=False, max_steps=1)).results


def test_a_run_that_goes_on_needs_no_more_room_for_what_it_has(classify, tmp_path, monkeypatch):
    words = {"max_steps": 4, "save_strategy": "steps", "save_steps": 1}
    with pytest.raises(Killed):
        wt.train(classify(**words), watchers=[KillAt(3)])
    monkeypatch.setattr(refuse, "free_bytes", lambda path: 0)
    needed = []
    for recipe, resume in (
        (classify(**words), True),
        (classify(**words, output_dir=str(tmp_path / "new")), False),
    ):
        with pytest.raises(WeitiaoError, match="disk_full") as caught:
            wt.train(recipe, resume=resume)
        needed.append(caught.value.values["needed_mb"])
    assert needed[0] < needed[1]


def test_where_there_is_room_many_times_over_nothing_is_gone_through(classify, monkeypatch):
    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(refuse.Needs, "highest", never)
    wt.train(classify(max_steps=1))


@pytest.mark.whole
@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("classify", "full"),
        ("converse", "lora"),
        ("classify", "lora"),
        ("converse", "full"),
    ],
)
def test_the_rough_bound_is_one(request, kind, method, monkeypatch):
    """What is believed without a closer look is never less than what a closer look finds."""
    recipe, seen = request.getfixturevalue(kind)(method=method, max_steps=1, bf16=False), []
    rough, built = refuse._roughly, registry.build("method", {"name": method})

    def look(asked, prepared):
        needs = refuse.Needs(Forecast(asked, prepared.task, built), prepared)
        seen.append((rough(asked, prepared), needs.highest(asked)[1]))
        return seen[-1][0]

    monkeypatch.setattr(refuse, "_roughly", look)
    wt.train(recipe)
    ((bound, needed),) = seen
    assert needed < refuse.SURE * bound


@pytest.mark.whole
def test_the_message_on_the_command_line(classify, tmp_path, room, monkeypatch, capsys):
    import yaml

    room(100_000)
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(classify()), encoding="utf-8")
    assert weitiao(["train", str(file)]) == 6
    assert "train.check_memory=false" in capsys.readouterr().err
