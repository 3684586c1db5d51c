"""Rollouts: drawn once, kept while they are learnt from, the same however they are cut and whoever draws them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess

import pytest
import torch

import weitiao as wt
from tests.compared import FILL, GOOD, prompts
from tests.conftest import write_jsonl
from tests.train.test_loop import KillAt, Killed, events, same, steps, weights
from tests.train.test_several_processes import command, end_at
from weitiao.cli import run as weitiao
from weitiao.cli.show import next_steps
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.core.run import RunFolder
from weitiao.train.loop import Watcher

pytestmark = pytest.mark.whole  # trainings that answer

QUICK = {
    "method": "lora",
    "max_steps": 5,
    "learning_rate": 3e-3,
    "eval_strategy": "no",
    "load_best_model_at_end": False,
}
EXACT = {**QUICK, "max_grad_norm": 0, "data": {"split": {"test": 0.1, "validation": 0}}}


def near(a, b):
    """The same training, up to the order in which floats were added; a loss of answers set against each other is near 0."""
    one, other = events(a, "step"), events(b, "step")
    for name in ("rows", "tokens", "trained", "learning_rate"):
        assert [line[name] for line in one] == [line[name] for line in other]
    for name, far in (("loss", 1e-5), ("grad_norm", 1e-5), ("kl", 1e-5), ("entropy", 1e-3)):
        assert [line[name] for line in one] == pytest.approx(
            [line[name] for line in other], rel=1e-3, abs=far
        )
    first, second = weights(a), weights(b)
    assert all((first[name] - second[name]).abs().max() < 2e-4 for name in first)


def with_task(recipe, **words):
    return {**recipe, "task": {**recipe["task"], **words}}


class Seen(Watcher):
    """What a run learns from, step by step."""

    def __init__(self):
        self.ids, self.advantages, self.modes = [], [], []

    def on_gradients(self, training):
        held = training.batches._held
        self.ids.append(held["inputs/input_ids"].tolist())
        self.advantages.append(held["inputs/advantage"].tolist())
        self.modes.append(training.model.training)


def test_a_run_killed_inside_a_rollout_goes_on_with_the_very_same_answers(reward, tmp_path):
    """Three passes over each: the checkpoint of step 4 stands in the midst of the second rollout."""
    words = {**EXACT, "save_steps": 4, "max_steps": 7}
    whole = with_task(reward(output_dir=str(tmp_path / "whole"), **words), num_iterations=3)
    wt.train(whole)
    halved = {**whole, "output_dir": str(tmp_path / "halved")}
    with pytest.raises(Killed):
        wt.train(halved, watchers=[KillAt(5)])
    (file,) = (tmp_path / "halved" / "checkpoint-4").glob("rollout.safetensors")
    assert file.stat().st_size > 100
    seen = Seen()
    wt.train(halved, resume=True, watchers=[seen])
    assert steps(tmp_path / "halved") == steps(tmp_path / "whole")
    assert same(tmp_path / "halved", tmp_path / "whole")
    assert seen.ids[0] == seen.ids[1] != seen.ids[2]
    drawn = [line["rollout"] for line in events(tmp_path / "halved", "step") if "rollout" in line]
    assert drawn == [0, 1, 2]
    # Between two rollouts nothing need be kept.
    again = {**whole, "output_dir": str(tmp_path / "between"), "train": {**whole["train"], "save_steps": 3}}
    with pytest.raises(Killed):
        wt.train(again, watchers=[KillAt(3)])
    assert not (tmp_path / "between" / "checkpoint-3" / "rollout.safetensors").exists()
    wt.train(again, resume=True)
    assert steps(tmp_path / "between") == steps(tmp_path / "whole")


def test_micro_batches_are_one_batch_and_a_batch_is_halved_when_memory_runs_out(
    reward, tmp_path, monkeypatch
):
    words = {**EXACT, "max_steps": 3}
    wt.train(reward(output_dir=str(tmp_path / "one"), **words))
    small = {**words, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    wt.train(reward(output_dir=str(tmp_path / "four"), **small))
    near(tmp_path / "one", tmp_path / "four")

    class Full(Watcher):
        def on_start(self, training):
            loss = training.objective.loss

            def of_few(batch, trained, *, last):
                if len(batch.rows) > 4:
                    raise torch.OutOfMemoryError("CUDA out of memory")
                return loss(batch, trained, last=last)

            training.objective.loss = of_few

    wt.train(reward(output_dir=str(tmp_path / "full"), **words), watchers=[Full()])
    near(tmp_path / "one", tmp_path / "full")
    assert events(tmp_path / "full", "step")[0]["halvings"] == 1
    assert [line.get("rollout") for line in events(tmp_path / "full", "step")] == [0, None, 1]


def test_what_is_logged_is_what_was_drawn(reward, tmp_path):
    seen = Seen()
    words = {**EXACT, "max_steps": 2, "dropout": 0.2}
    wt.train(reward(output_dir=str(tmp_path / "run"), **words), watchers=[seen])
    first, second = events(tmp_path / "run", "step")
    assert seen.modes == [True, True]
    assert first["reward"] == pytest.approx(first["rewards/words"] + first["rewards/length"])
    assert set(first) - set(second) == {
        "reward", "reward_std", "rewards/words", "rewards/length", "completion_length", "clipped_ratio",
        "frac_reward_zero_std", "rollout", "rollout_seconds",
    }  # fmt: skip
    assert {"entropy", "kl", "clip_ratio"} <= set(second)
    # Nothing is learnt yet: the policy is its reference, and dropout, on in the loss alone, is all that differs.
    assert 0 < first["kl"] < 0.05
    assert first["rows"] == 8
    groups = torch.tensor(seen.advantages[0]).view(2, 4)
    torch.testing.assert_close(groups.mean(1), torch.zeros(2), atol=1e-5, rtol=0)


def test_rewards_rise_and_the_page_says_so(reward, tmp_path, monkeypatch, capsys):
    """One word is wanted of all: learnt in a few steps, seen on locked prompts."""
    monkeypatch.setenv("WEITIAO_LANG", "en")
    task = {
        "num_iterations": 1,
        "beta": 0.0,
        "rewards": [{"name": "words", "wanted": ["film"]}],
        "max_completion_length": 4,
    }
    words = {
        "method": "lora",
        "max_steps": 25,
        "learning_rate": 0.02,
        "per_device_train_batch_size": 16,
        "eval_strategy": "no",
        "load_best_model_at_end": False,
    }
    run_ = wt.train(
        with_task(
            reward(output_dir=str(tmp_path / "run"), num_train_epochs=9, **words), num_generations=8, **task
        )
    )
    tuned, untuned = (run_.results["metrics"][name] for name in ("tuned", "untuned"))
    assert tuned["reward"]["value"] > 0.9
    assert untuned["reward"]["value"] < 0.5
    assert tuned["win_rate"]["value"] > 0.6
    assert untuned["win_rate"]["value"] == 0.5
    wins = f"; it wins against the untuned answers at {tuned['win_rate']['value']:.2f} "
    assert wins in run_.results["verdict"]["sentence"]
    assert "reward of drawn answers" in run_.report.read_text(encoding="utf-8")
    next_steps(run_)  # the columns of prompts say nothing of rewards: the run's own recipe does
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "data.train=" in line]
    words = shlex.split(line)
    assert weitiao(words[words.index("train") :] + ["train.max_steps=1", "--quiet"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert all({"answer", "reward", "rewards", "won"} <= set(row["tuned"]) for row in rows)
    mean = sum(row["tuned"]["reward"] for row in rows) / len(rows)
    assert mean == pytest.approx(tuned["reward"]["value"])


def test_the_reference_is_asked_with_dropout_off_and_another_model_may_be_it(reward, llama, tmp_path):
    """The base as its own reference, and the same folder named as another model, say the same."""
    words = {**EXACT, "max_steps": 3}
    wt.train(reward(output_dir=str(tmp_path / "own"), **words))
    wt.train(with_task(reward(output_dir=str(tmp_path / "other"), **words), ref_model=llama))
    ours, others = ([line["kl"] for line in events(tmp_path / name, "step")] for name in ("own", "other"))
    assert ours == pytest.approx(others, abs=1e-6)
    assert ours[-1] > 0


@pytest.mark.parametrize("method", ["full", "lora"])
def test_rloo_goes_the_same_way(reward, tmp_path, method):
    task = {
        "name": "rloo",
        "rewards": [{"name": "words", "wanted": [*FILL, *GOOD]}],
        "num_generations": 2,
        "max_completion_length": 5,
    }
    words = {**EXACT, "max_steps": 2, "method": method, "task": task}
    run_ = wt.train(reward(output_dir=str(tmp_path / "run"), **words))
    first, second = events(tmp_path / "run", "step")
    assert first["kl"] == pytest.approx(0, abs=1e-6)
    assert second["kl"] != pytest.approx(0, abs=1e-6)
    assert run_.results["metrics"]["tuned"]["reward"]["value"] is not None


def test_the_validation_rows_are_answered_and_rated(reward, tmp_path):
    words = {
        **QUICK,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "max_steps": 2,
        "metric_for_best_model": "reward",
    }
    wt.train(reward(output_dir=str(tmp_path / "run"), **words))
    (line,) = events(tmp_path / "run", "evaluate")
    assert line["validation/loss"] == -line["validation/reward"]
    assert 0 < line["validation/answer_length"] <= 6


def test_what_does_not_fit_is_refused_before_anything_is_read(reward, tmp_path):
    recipe = reward(output_dir=str(tmp_path / "run"), **QUICK)
    for words, said in (
        ({"rewards": []}, "task.rewards"),
        ({"num_generations": 3}, "task.num_generations"),
        ({"rewards": ["lenght"]}, "length"),
        ({"rewards": [{"name": "regex", "pattern": "("}]}, "regular expression"),
        ({"rewards": [{"name": "length", "max": 2, "weight": "much"}]}, "weight"),
        ({"rewards": [{"name": "length", "min": 5, "max": 2}]}, "at least 5"),
        ({"rewards": ["no_such_file.py:kind"]}, "no_such_file.py"),
        ({"beta": 0.0, "ref_model": "smollm2-135m"}, "task.ref_model"),
    ):
        with pytest.raises(WeitiaoError) as caught:
            wt.train(with_task(recipe, **words))
        assert said in str(caught.value)
        assert not (tmp_path / "run").exists()
    with pytest.raises(WeitiaoError, match="what the model says as it is now"):
        wt.train({**recipe, "train": {**recipe["train"], "cache_frozen_trunk": True}})


BAD = {
    "nan": ("[float('nan')] * len(answers)", "nan"),
    "text": ("['much'] * len(answers)", "'much'"),
    "few": ("[1.0]", "1 numbers for 5 answers"),
    "raises": ("[1 / len(a['answer'].replace('film', '')) for a in rows]", "ZeroDivisionError"),
}


@pytest.mark.parametrize(("body", "said"), BAD.values(), ids=BAD)
def test_a_bad_reward_names_the_row_and_the_answer(reward, tmp_path, body, said):
    file = tmp_path / "mine.py"
    file.write_text(
        f"def kind(prompts, answers, rows):\n    assert prompts[0][0]['role'] == 'user'\n    return {body}\n"
    )
    recipe = with_task(reward(output_dir=str(tmp_path / "run"), **EXACT), rewards=[f"{file}:kind"])
    rows = [
        {"prompt": f"the plot {word}", "answer": "film"}
        for word in ("was", "and", "very", "quite", "scene", "music")
    ]
    recipe["data"]["train"] = str(tmp_path / "film.jsonl")
    (tmp_path / "film.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(WeitiaoError) as caught:
        wt.train(recipe)
    assert caught.value.code == "bad_reward"
    assert said in str(caught.value)
    assert "film.jsonl line" in str(caught.value)


def test_a_reward_that_sees_no_difference_is_said_and_counted(reward, tmp_path):
    told = []
    recipe = with_task(
        reward(output_dir=str(tmp_path / "run"), **EXACT), rewards=[{"name": "length"}], beta=0.0
    )
    wt.train(recipe, tell=lambda event, **facts: told.append(facts.get("text", "")))
    assert sum("nothing is learnt from it" in text for text in told) == 1
    lines = [line for line in events(tmp_path / "run", "step") if "rollout" in line]
    assert {line["frac_reward_zero_std"] for line in lines} == {1.0}
    assert {line["grad_norm"] for line in events(tmp_path / "run", "step")} == {0.0}


# ------------------------------------------------------------------ several processes


def test_two_processes_equal_one(reward, two_processes, tmp_path):
    words = {
        "max_grad_norm": 0,
        "learning_rate": 1e-3,
        "method": "lora",
        "max_steps": 5,
        "save_steps": 3,
        "eval_steps": 5,
    }
    wt.train(reward(output_dir=str(tmp_path / "one"), gradient_accumulation_steps=2, **words))
    two_processes.train(reward(output_dir=str(tmp_path / "two"), **words))
    near(tmp_path / "one", tmp_path / "two")
    rewards = [
        [line["reward"] for line in events(tmp_path / n, "step") if "reward" in line] for n in ("one", "two")
    ]
    assert rewards[0] == rewards[1]
    # What a rollout holds is dealt among them, and goes on with another number of processes.
    assert RunFolder(tmp_path / "two").checkpoints()


def test_kill_9_inside_a_rollout_and_resume_is_the_unbroken_run(reward, tmp_path):
    words = {
        "method": "lora",
        "max_steps": 14,
        "save_steps": 1,
        "num_train_epochs": 9,
        "eval_strategy": "no",
        "load_best_model_at_end": False,
    }
    whole = with_task(reward(output_dir=str(tmp_path / "whole"), **words), num_iterations=4)
    wt.train(whole)
    broken = {**whole, "output_dir": str(tmp_path / "broken")}
    with subprocess.Popen(command(broken), stderr=subprocess.PIPE) as process:
        end_at(tmp_path / "broken", 6, process, lambda pid: os.kill(pid, signal.SIGKILL))
    assert len(steps(tmp_path / "broken")) < 14
    wt.train(broken, resume=True)
    assert steps(tmp_path / "broken") == steps(tmp_path / "whole")
    assert same(tmp_path / "broken", tmp_path / "whole")


# ------------------------------------------------------------------ rewards that can be had for nothing


@pytest.mark.parametrize(
    ("rewards", "named"),
    [
        pytest.param(
            [{"name": "length", "min": 30, "unit": "characters"}], "over and over", marks=pytest.mark.whole
        ),
        (["{file}:shortest"], "empty ones"),
        pytest.param(["{file}:copies"], "the prompt itself", marks=pytest.mark.whole),
        (["{file}:first_seen"], None),
    ],
)
def test_rewards_for_answers_that_nobody_wants_are_named_before_the_first_step(
    reward, tmp_path, rewards, named
):
    """And only then: a run that goes on is not told again."""
    file = tmp_path / "mine.py"
    file.write_text(
        "def shortest(prompts, answers, rows):\n    return [1 / (1 + len(a)) for a in answers]\n"
        "def copies(prompts, answers, rows):\n"
        "    return [float(a == p[-1]['content']) for p, a in zip(prompts, answers)]\n"
        "known = {}\n"
        "def first_seen(prompts, answers, rows):\n"  # whatever a prompt was answered first is right
        "    return [float(known.setdefault(str(p), a) == a) for p, a in zip(prompts, answers)]\n"
    )
    asked = [one.format(file=file) if isinstance(one, str) else one for one in rewards]
    words = {**EXACT, "max_steps": 2, "save_steps": 1}
    recipe = with_task(
        reward(output_dir=str(tmp_path / "run"), **words), rewards=asked, beta=0.0, num_iterations=1
    )
    said, before = [], []

    def tell(event, **facts):
        if "nobody wants" in facts.get("text", ""):
            said.append(facts["text"])
            before.append(len(events(tmp_path / "run", "step")))

    with pytest.raises(Killed):
        wt.train(recipe, watchers=[KillAt(2)], tell=tell)
    assert before == [0] * (named is not None)
    for text in said:
        assert named in text
        assert "32 prompts" in text
    wt.train(recipe, resume=True, tell=tell)
    assert len(events(tmp_path / "run", "step")) == 2
    assert len(said) == len(before) == (named is not None)


def test_rows_without_a_right_answer_are_judged_explained_and_forecast(reward, tmp_path):
    """Prompts alone: every section of the page is there, and what goes by rows that are there says that it does."""
    recipe = with_task(
        reward(output_dir=str(tmp_path / "run"), **EXACT), rewards=[{"name": "words", "wanted": ["film"]}]
    )
    bare = [{"prompt": row["prompt"]} for row in prompts(60)]
    recipe["data"]["train"] = str(write_jsonl(tmp_path / "bare.jsonl", bare))
    recipe.setdefault("evaluate", {})["answers"] = (
        3  # of six: the others say nothing, and nothing fails for it
    )
    done = wt.train(recipe)
    assert done.results["missing"] == []
    assert {row["reference"] for row in read_lines(tmp_path / "run" / "predictions.jsonl")} == {""}
    assert done.task.shape.texts({"messages": [{"role": "user", "content": "the film"}]}) == {
        "messages.0.content": "the film"
    }
    with pytest.raises(WeitiaoError, match="draws on the way"):
        wt.numerics(recipe)
    assert wt.plan(recipe).steps == 5
