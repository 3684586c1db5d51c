"""The forecast of runs in which other models are asked: what these hold, and how long it takes to ask them."""

from __future__ import annotations

import json

import pytest
import yaml
from transformers import AutoModelForCausalLM

import weitiao as wt
from tests.conftest import dialogues, small_run, write_jsonl
from weitiao.cli import run as weitiao
from weitiao.core.errors import WeitiaoError
from weitiao.forecast import refuse
from weitiao.train import memory

pytestmark = pytest.mark.whole


@pytest.fixture
def told(tmp_path, capsys):
    """What `weitiao plan --json` says of a recipe."""

    def plan(recipe, *words):
        file = tmp_path / "asked.yaml"
        file.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        assert weitiao(["plan", str(file), *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return plan


@pytest.fixture
def students(llama, tmp_path):
    """Recipes of distillation on the toy Llama."""
    task = {"name": "distillation", "max_new_tokens": 6, "teacher_model_name_or_path": llama}
    file = write_jsonl(tmp_path / "dialogues.jsonl", dialogues(60))
    return small_run(llama, task, file, tmp_path / "run", batch=8, judge={"samples": 0})


FEW = {"per_device_train_batch_size": 2, "per_device_eval_batch_size": 2}
"""Short rows are gone through one by one."""


def others(plan):
    """Stage -> what other models take there."""
    return {name: held["others"] for name, held in plan["stages"].items() if name != "merge"}


def size_of(ref):
    model = AutoModelForCausalLM.from_pretrained(ref)
    weights = {id(each): each for each in (*model.parameters(), *model.buffers())}
    return sum(each.nbytes for each in weights.values())


def test_a_reference_of_its_own_is_there_before_the_first_step(prefer, llama, told):
    plan = told(prefer(method="lora", task={"name": "dpo", "ref_model": llama}, **FEW))
    held = others(plan)
    assert held["reference"] == pytest.approx(size_of(llama), rel=0.02)
    assert (held["load"], held["train"], held["save"]) == (0, 0, 0)


def test_a_copy_of_the_base_is_kept_where_all_of_it_trains(reward, told):
    plan = told(reward(method="full"))
    held = others(plan)
    assert held["train"] == held["rollout"] == pytest.approx(plan["stages"]["train"]["weights"], rel=0.01)


def test_another_reference_of_what_is_drawn_stays_as_long_as_the_training(reward, llama, told):
    plan = told(reward(method="lora", task={**reward()["task"], "ref_model": llama}))
    assert others(plan)["train"] == others(plan)["rollout"] == pytest.approx(size_of(llama), rel=0.02)
    assert list(plan["stages"]) == ["load", "rollout", "train", "evaluate", "save", "merge"]


def test_a_teacher_is_there_in_every_step(students, llama, told, products_alone):
    plan = told(students(method="lora"))
    held = others(plan)
    for stage in ("rollout", "train", "evaluate", "save"):
        assert held[stage] == pytest.approx(size_of(llama), rel=0.02), stage
    given = told(students(method="lora", task={**students()["task"], "lmbda": 0.0}))
    assert given["seconds"] < plan["seconds"], "nothing is drawn"


def test_a_reward_model_of_a_run_is_counted(score, reward, llama, told, tmp_path):
    run = wt.train(score(method="lora", max_steps=1, output_dir=str(tmp_path / "rates")))
    task = {**reward()["task"], "beta": 0.0, "rewards": [{"name": "reward_model", "run": str(run.path)}]}
    plan = told(reward(method="lora", task=task))
    held = others(plan)
    # The output layer of the model that writes is no part of one that rates.
    assert 0.5 * size_of(llama) < held["rollout"] == held["train"] < 2 * size_of(llama)
    assert held["evaluate"] == held["train"]


@pytest.fixture
def products_alone(monkeypatch):
    """A machine on which only products take time: one operation a second."""
    from weitiao.train import pace

    monkeypatch.setattr(pace, "pace", lambda device, dtype: pace.Pace(1.0, 1e300, 1e300))
    return pace.REAL


def test_seconds_count_what_is_drawn_and_who_is_asked(reward, llama, told, products_alone):
    base = {**reward()["task"], "num_iterations": 1, "beta": 0.0}
    recipe = reward(method="lora", task=base, max_steps=5)
    without = told(recipe)
    asked = told(reward(method="lora", task={**base, "beta": 0.05}, max_steps=5))
    assert without["steps"] == asked["steps"] == 5
    # A pass over the answers, 2 operations a weight and token; the step itself takes three such passes.
    model = AutoModelForCausalLM.from_pretrained(llama)
    body = sum(
        each.numel() for name, each in model.named_parameters() if "embed" not in name and "head" not in name
    )
    tokens = 5 * (without["batch"]["tokens"] + without["batch"]["padding"])
    look = (asked["seconds"] - without["seconds"]) / products_alone
    assert 0.5 * 2 * body * tokens < look < 3 * 2 * body * tokens
    assert set(others(without).values()) == {0}
    # What trains is kept once more, and nothing else: a checkpoint has it with its two moments.
    assert others(asked)["train"] == pytest.approx(asked["checkpoint"] / 3)
    # Words are drawn one after the other, each with a pass of its own, and the step is three passes over all of them.
    assert without["seconds"] / products_alone > 4 * 2 * body * tokens * 0.5


def test_seconds_count_what_a_reference_is_asked_once(prefer, told, products_alone):
    four, eight = (told(prefer(method="lora", max_steps=steps, **FEW)) for steps in (4, 8))
    once, a_step = 2 * four["seconds"] - eight["seconds"], (eight["seconds"] - four["seconds"]) / 4
    # One pass over all rows, where a step takes three over two of them.
    rows = 125 * 0.85
    assert once == pytest.approx(a_step * rows / 2 / 3, rel=0.4)
    assert set(others(four).values()) == {0}, "turned off, the model is its own reference"


def test_several_processes_hold_others_whole_and_it_is_said(students, llama, told):
    plan = told(students(method="lora"), "--nproc", "2")
    assert others(plan)["train"] == pytest.approx(size_of(llama), rel=0.02)
    assert any("lie whole in each process" in text for text in plan["notices"])


def test_a_run_whose_teacher_does_not_fit_is_refused(students, llama, monkeypatch):
    monkeypatch.setattr(refuse, "KERNELS", 0)
    monkeypatch.setattr(refuse, "resident", lambda: 0)
    recipe = students(method="lora", per_device_train_batch_size=1, per_device_eval_batch_size=1)
    most = max(held.total for name, held in wt.plan(recipe).stages.items() if name in ("train", "rollout"))
    monkeypatch.setattr(memory, "free", lambda device: most - size_of(llama) // 2)
    with pytest.raises(WeitiaoError, match="will_not_fit|will_never_fit"):
        wt.train(recipe)
