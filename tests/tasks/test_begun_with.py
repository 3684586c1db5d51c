"""A run that begins with what another one has learnt: that is its reference, and what it is judged beside."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

import weitiao as wt
from tests.train.test_loop import KillAt, Killed, events, same
from weitiao.core.errors import WeitiaoError

pytestmark = pytest.mark.whole  # two trainings each

QUICK = {"max_steps": 3, "learning_rate": 3e-3, "eval_strategy": "no", "load_best_model_at_end": False}
ROWS = {"data": {"split": {"test": 0.1, "validation": 0}}}
PLAIN = {"samples": 0, "general_text": "none", "baseline": "none"}
TAUGHT = {"learning_rate": 0.02, "max_steps": 6, "eval_strategy": "no", "load_best_model_at_end": False}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def taught(converse, cache, tmp_path):
    """A finished run of sft, by name of its method."""

    def finished(method="lora", output="taught", **words):
        judge = {**PLAIN, "untuned": False}
        return wt.train(
            converse(output_dir=str(tmp_path / output), method=method, evaluate=judge, **TAUGHT, **words)
        )

    return finished


def losses(folder):
    return [line["loss"] for line in events(folder, "step")]


def value(run, system, name):
    return run.results["metrics"][system][name]["value"]


@pytest.mark.parametrize(
    ("task", "method"),
    [("dpo", "lora"), ("dpo", "full"), ("kto", "lora")],
)
def test_the_reference_is_what_was_learnt_there(prefer, like, taught, tmp_path, task, method):
    """Beside it the same model, merged and named as the reference: another way to the same numbers."""
    first = taught(method)
    plain = first.merge(str(tmp_path / "plain")) if method == "lora" else first.path / "model"
    recipe = {"dpo": prefer, "kto": like}[task]
    words = {"method": method, **QUICK, **ROWS, "evaluate": PLAIN}

    def begun(output, **settings):
        asked = recipe(output_dir=str(tmp_path / output), task={"name": task, **settings}, **words)
        return wt.train({**asked, "start_from": str(first.path)})

    run, named = begun("run"), begun("named", ref_model=str(plain))
    assert losses(run.path) == pytest.approx(losses(named.path), abs=2e-5)
    assert abs(losses(run.path)[-1] - losses(run.path)[0]) > 1e-3
    margin, logp = {"dpo": ("reward_margin", "chosen_logp"), "kto": ("reward_gap", "desirable_logp")}[task]
    for name in (margin, logp):
        assert value(run, "tuned", name) == pytest.approx(value(named, "tuned", name), abs=1e-4)
        # The merged model is where the beginning lies, too; and against itself it has no reward.
        assert value(run, "untuned", name) == pytest.approx(value(named, "untuned", name), abs=1e-4)
    assert value(run, "untuned", margin) == 0
    if task == "dpo":
        assert losses(run.path)[0] == pytest.approx(math.log(2), abs=2e-6)
    base = wt.train(recipe(output_dir=str(tmp_path / "base"), task=task, **{**words, "max_steps": 1}))
    assert abs(value(base, "untuned", logp) - value(run, "untuned", logp)) > 0.1


def test_other_weights_and_those_that_are_taken_otherwise_are_another_beginning(
    prefer, taught, cache, tmp_path
):
    """With another alpha the same matrices are another model: nothing that was kept of the first is read, nor of another run."""
    first, second = taught(), taught(output="second", seed=1)
    for name, start, alpha in (("one", first, 16), ("two", first, 64), ("three", second, 16)):
        method = {"name": "lora", "lora_alpha": alpha}
        asked = prefer(
            output_dir=str(tmp_path / name), method=method, evaluate=PLAIN, **{**QUICK, "max_steps": 1}
        )
        run = wt.train({**asked, "start_from": str(start.path)})
        assert losses(run.path)[0] == pytest.approx(math.log(2), abs=2e-6)
        assert value(run, "untuned", "reward_margin") == 0
    assert len([*(cache / "reference").glob("*.json")]) == 9


def test_what_was_asked_is_kept_and_another_run_in_its_place_is_none(prefer, taught, cache, tmp_path):
    first = taught()
    run = wt.train(
        {
            **prefer(output_dir=str(tmp_path / "run"), method="lora", evaluate=PLAIN, **QUICK),
            "start_from": str(first.path),
        }
    )
    before = run.results["metrics"]
    first.path.rename(tmp_path / "away")
    gone = wt.evaluate(run.path).results
    assert gone["metrics"]["tuned"] == before["tuned"]
    assert "untuned" not in gone["metrics"]
    (why,) = [each["why"] for each in gone["missing"] if each["what"] == "untuned"]
    assert str(first.path) in why
    shutil.rmtree(cache / "reference")
    with pytest.raises(WeitiaoError, match="no_run"):
        wt.evaluate(run.path)
    taught(seed=1)
    with pytest.raises(WeitiaoError, match="other_beginning"):
        wt.evaluate(run.path)
    shutil.rmtree(first.path)
    (tmp_path / "away").rename(first.path)
    assert wt.evaluate(run.path).results["metrics"] == before


def test_a_run_goes_on_from_its_beginning_and_from_no_other(prefer, taught, cache, tmp_path):
    first = taught()
    words = {"method": "lora", **QUICK, "save_steps": 1, "evaluate": PLAIN}

    def asked(name):
        return {**prefer(output_dir=str(tmp_path / name), **words), "start_from": str(first.path)}

    wt.train(asked("whole"))
    with pytest.raises(Killed):
        wt.train(asked("halved"), watchers=[KillAt(2)])
    shutil.rmtree(cache / "reference")
    first.path.rename(tmp_path / "away")
    taught(seed=1)
    with pytest.raises(WeitiaoError, match=r"other_data[\s\S]*start_from"):
        wt.train(asked("halved"), resume=True)
    shutil.rmtree(first.path)
    (tmp_path / "away").rename(first.path)
    wt.train(asked("halved"), resume=True)
    assert same(tmp_path / "whole", tmp_path / "halved")


@pytest.mark.parametrize("method", ["lora", "full"])
def test_rewards_are_learnt_near_what_was_begun_with(reward, taught, tmp_path, method):
    first = taught(method)
    plain = first.merge(str(tmp_path / "plain")) if method == "lora" else first.path / "model"
    words = {"method": method, **QUICK, **ROWS, "evaluate": PLAIN}

    def kl(output, **settings):
        asked = reward(output_dir=str(tmp_path / output), **words)
        task = {**asked["task"], **settings}
        wt.train({**asked, "task": task, "start_from": str(first.path)})
        return [line["kl"] for line in events(tmp_path / output, "step")]

    own = kl("own")
    assert own[0] == pytest.approx(0, abs=1e-6)
    assert own[-1] > 1e-6
    assert own == pytest.approx(kl("named", ref_model=str(plain)), abs=1e-6)


def test_tasks_that_do_not_write_alike_give_no_beginning(prefer, classify, taught, tmp_path):
    first = wt.train(classify(output_dir=str(tmp_path / "first"), method="lora", max_steps=1))
    spelt = taught(task={"name": "sft", "split_special_tokens": False})
    for other in (first, spelt):
        asked = prefer(method="lora", output_dir=str(tmp_path / "second"))
        with pytest.raises(WeitiaoError, match="unfit_start.*its task was"):
            wt.train({**asked, "start_from": str(other.path)})


def test_two_processes_begin_alike(prefer, reward, taught, cache, two_processes, tmp_path):
    first = taught()
    words = {"method": "lora", "max_grad_norm": 0, **QUICK, **ROWS, "evaluate": PLAIN}
    for recipe, told in ((prefer, ("loss",)), (reward, ("loss", "kl"))):
        one, two = (
            {**recipe(output_dir=str(tmp_path / name), **words, **more), "start_from": str(first.path)}
            for name, more in (
                (f"{told[-1]}-one", {"gradient_accumulation_steps": 2}),
                (f"{told[-1]}-two", {}),
            )
        )
        two_processes.train(two)
        shutil.rmtree(cache / "reference", ignore_errors=True)
        wt.train(one)
        for name in told:
            alone, shared = (
                [line[name] for line in events(Path(each["output_dir"]), "step")] for each in (one, two)
            )
            assert alone == pytest.approx(shared, rel=1e-3, abs=1e-5)
