"""Runs of PPO: the value head lies in checkpoints and in no tuned model, and however a rollout is cut it is learnt alike."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import weitiao as wt
from tests.compared import FILL, GOOD
from tests.train.test_loop import KillAt, Killed, events, same, steps, weights
from tests.train.test_rollouts import EXACT, QUICK, near
from tests.train.test_several_processes import command, end_at
from weitiao.core.files import read_lines
from weitiao.train.loop import Watcher

pytestmark = pytest.mark.whole  # trainings that answer

TASK = {
    "name": "ppo",
    "rewards": [{"name": "words", "wanted": [*FILL, *GOOD]}, {"name": "length", "max": 3}],
    "response_length": 6,
    "num_ppo_epochs": 2,
}
HEAD = {"value_head.weight", "value_head.bias"}


@pytest.fixture
def ppo(reward, tmp_path):
    """Recipes of PPO on the toy Llama, by the name of their folder; settings of the task beside those of the run."""

    def recipe(name, *, task=None, **words):
        return {**reward(output_dir=str(tmp_path / name), **words), "task": {**TASK, **(task or {})}}

    return recipe


def checkpointed(path, kind):
    """What the newest checkpoint holds."""
    newest = max(Path(path).glob("checkpoint-*"), key=lambda folder: int(folder.name.partition("-")[2]))
    return {
        name: each for file in newest.glob(f"{kind}*.safetensors") for name, each in load_file(file).items()
    }


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_value_head_learns_and_is_no_part_of_the_tuned_model(ppo, tmp_path, method):
    from transformers import AutoModelForCausalLM

    done = wt.train(ppo("run", **{**EXACT, "max_steps": 3, "method": method}))
    kept = checkpointed(tmp_path / "run", "weights")
    assert kept.keys() >= HEAD
    assert kept["value_head.weight"].any()
    moments = checkpointed(tmp_path / "run", "optimizer")
    assert {f"exp_avg/{name}" for name in HEAD} <= moments.keys()
    assert not any("value_head" in name for name in weights(tmp_path / "run"))
    assert "value_head" not in (tmp_path / "run" / "model" / "weitiao.json").read_text("utf-8")
    if method == "lora":
        config = (tmp_path / "run" / "model" / "adapter_config.json").read_text("utf-8")
        assert "value_head" not in config
    else:
        _, report = AutoModelForCausalLM.from_pretrained(done.folder.model, output_loading_info=True)
        assert not report["unexpected_keys"]
        assert not report["missing_keys"]
    assert done.results["metrics"]["tuned"]["reward"]["value"] is not None
    first, second, third = events(tmp_path / "run", "step")
    rollout = {
        "reward", "reward_std", "rewards/words", "rewards/length", "rlhf_reward", "completion_length",
        "clipped_ratio", "value", "explained_variance", "rollout", "rollout_seconds",
    }  # fmt: skip
    assert set(first) - set(second) == rollout <= set(third)
    assert {
        "kl",
        "entropy",
        "policy_loss",
        "value_loss",
        "clip_ratio",
        "value_clip_ratio",
        "approx_kl",
    } <= set(second)
    # Nothing is learnt yet: the policy is its reference, and the one that drew.
    assert first["kl"] == pytest.approx(0, abs=1e-6)
    assert first["approx_kl"] == pytest.approx(0, abs=1e-9)
    assert second["approx_kl"] > 1e-6
    assert (first["value"], first["rollout"], third["rollout"]) == (0.0, 0, 1)
    assert third["value"] != 0


def test_rewards_that_are_all_the_same_are_said(ppo):
    told = []
    recipe = ppo("run", task={"rewards": ["length"]}, **{**EXACT, "max_steps": 1})
    wt.train(recipe, tell=lambda event, **facts: told.append(facts.get("text", "")))
    assert sum("8 answers of a rollout are worth the same" in text for text in told) == 1


def test_the_old_policy_its_values_and_the_reference_are_asked_with_dropout_off(ppo):
    class First(Watcher):
        def on_gradients(self, training):
            seen.append({name: each.clone() for name, each in training.batches._held.items()})

    seen: list[dict] = []
    for name, share in (("still", 0.0), ("drops", 0.5)):
        recipe = ppo(name, **{**EXACT, "max_steps": 1, "dropout": share, "save_strategy": "no"})
        wt.train(recipe, watchers=[First()])
    assert {"inputs/old", "inputs/values", "inputs/reference"} <= seen[0].keys()
    assert equal(*seen)


def test_a_run_killed_between_two_steps_on_a_rollout_goes_on_bit_for_bit(ppo, tmp_path):
    """The checkpoint of step 4 stands in the midst of the second rollout; moments of the value head are in it."""
    task = {"num_ppo_epochs": 3, "whiten_rewards": True}
    words = {**EXACT, "save_steps": 4, "max_steps": 7}
    wt.train(ppo("whole", task=task, **words))
    halved = ppo("halved", task=task, **words)
    with pytest.raises(Killed):
        wt.train(halved, watchers=[KillAt(5)])
    kept = load_file(tmp_path / "halved" / "checkpoint-4" / "rollout.safetensors")
    assert {"inputs/advantages", "inputs/returns", "inputs/values"} <= kept.keys()
    wt.train(halved, resume=True)
    assert steps(tmp_path / "halved") == steps(tmp_path / "whole")
    assert same(tmp_path / "halved", tmp_path / "whole")
    for kind in ("weights", "optimizer"):
        one, other = (checkpointed(tmp_path / name, kind) for name in ("whole", "halved"))
        assert any("value_head" in name for name in one)
        assert equal(one, other)


def test_kill_9_between_two_steps_on_a_rollout_and_resume_is_the_unbroken_run(ppo, tmp_path):
    words = {**QUICK, "max_steps": 9, "save_steps": 1, "num_train_epochs": 9}
    whole = ppo("whole", task={"num_ppo_epochs": 4}, **words)
    wt.train(whole)
    broken = {**whole, "output_dir": str(tmp_path / "broken")}
    with subprocess.Popen(command(broken), stderr=subprocess.PIPE) as process:
        end_at(tmp_path / "broken", 5, process, lambda pid: os.kill(pid, signal.SIGKILL))
    assert len(steps(tmp_path / "broken")) < 9
    wt.train(broken, resume=True)
    assert steps(tmp_path / "broken") == steps(tmp_path / "whole")
    assert same(tmp_path / "broken", tmp_path / "whole")
    assert equal(*(checkpointed(tmp_path / name, "optimizer") for name in ("broken", "whole")))


@pytest.mark.parametrize("task", [{}, {"whiten_rewards": True, "kl_in": "loss", "kl_estimator": "k3"}])
def test_micro_batches_are_one_batch(ppo, tmp_path, task):
    words = {**EXACT, "max_steps": 5}
    wt.train(ppo("one", task=task, **words))
    wt.train(ppo("four", task=task, **words, per_device_train_batch_size=2, gradient_accumulation_steps=4))
    near(tmp_path / "one", tmp_path / "four")
    explained = [
        [line["explained_variance"] for line in events(tmp_path / name, "step") if "rollout" in line]
        for name in ("one", "four")
    ]
    assert explained[0] == pytest.approx(explained[1], abs=1e-4)


def test_two_processes_equal_one(ppo, two_processes, tmp_path):
    words = {"max_grad_norm": 0, "learning_rate": 1e-3, "method": "lora", "max_steps": 5, "save_steps": 3}
    words |= {"eval_steps": 5}
    wt.train(ppo("one", gradient_accumulation_steps=2, **words))
    two_processes.train(ppo("two", **words))
    near(tmp_path / "one", tmp_path / "two")
    one, two = (checkpointed(tmp_path / name, "weights") for name in ("one", "two"))
    assert all((one[name] - two[name]).abs().max() < 2e-4 for name in HEAD)


def test_a_run_that_begins_with_another_begins_with_a_value_head_of_0(ppo, tmp_path):
    words = {**EXACT, "max_steps": 3}
    wt.train(ppo("first", **words))
    second = {**ppo("second", **words), "start_from": str(tmp_path / "first")}
    wt.train(second)
    line = events(tmp_path / "second", "step")[0]
    assert line["value"] == 0.0
    assert line["kl"] == pytest.approx(0, abs=1e-6)  # its reference is what it began with


def test_rewards_rise_and_values_follow(ppo, tmp_path):
    """One word is wanted of all: learnt in some steps, seen on locked prompts."""
    task = {"rewards": [{"name": "words", "wanted": ["film"]}], "response_length": 4, "temperature": 1.0}
    words = {
        "method": "lora",
        "max_steps": 40,
        "learning_rate": 0.02,
        "per_device_train_batch_size": 16,
        "num_train_epochs": 99,
        "eval_strategy": "no",
        "load_best_model_at_end": False,
    }
    done = wt.train(ppo("run", task=task, **words))
    tuned, untuned = (done.results["metrics"][name] for name in ("tuned", "untuned"))
    assert tuned["reward"]["value"] > 0.9
    assert untuned["reward"]["value"] < 0.5
    lines = [line for line in events(tmp_path / "run", "step") if "rollout" in line]
    assert lines[0]["value"] == 0
    assert lines[-1]["value"] == pytest.approx(lines[-1]["reward"], abs=0.3)
    assert all(line["kl"] < 20 for line in read_lines(tmp_path / "run" / "log.jsonl") if "kl" in line)


def test_the_plan_counts_the_value_head_with_its_moments_and_leaves_it_out_of_the_model(ppo):
    longest = {"name": "grpo", "num_generations": 4, "max_completion_length": 6, "rewards": ["length"]}
    with_head = wt.plan(ppo("run", **EXACT))
    without = wt.plan({**ppo("run", **EXACT), "task": longest})
    assert with_head.checkpoint - without.checkpoint == 3 * (32 + 1) * 4  # 32 wide, and a bias
    assert with_head.model == without.model
    held = [plan.stages["train"].optimizer for plan in (with_head, without)]
    assert held[0] - held[1] == 2 * (32 + 1) * 4


def test_another_model_may_be_the_reference(ppo, llama, tmp_path):
    """The base as its own reference, and the same folder named as another model, say the same; it has no value head."""
    words = {**EXACT, "max_steps": 3}
    wt.train(ppo("own", **words))
    wt.train(ppo("other", task={"ref_model": llama}, **words))
    ours, others = ([line["kl"] for line in events(tmp_path / name, "step")] for name in ("own", "other"))
    assert ours == pytest.approx(others, abs=1e-6)
    assert ours[-1] > 0
