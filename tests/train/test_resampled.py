"""Dynamic sampling: answers to a prompt that teach nothing are drawn anew, and the others are left as they were."""

from __future__ import annotations

import json

import pytest

import weitiao as wt
from tests.train.test_loop import KillAt, Killed, events, same, steps
from tests.train.test_rollouts import EXACT, Seen, near, with_task

pytestmark = pytest.mark.whole  # trainings that answer

RARE = """
def lengthy(prompts, answers, rows):
    return [float(len(answer) % 5 == 0) for answer in answers]
"""


@pytest.fixture
def rare(reward, tmp_path):
    """Recipes whose reward sees a difference in some groups alone."""
    (tmp_path / "rare.py").write_text(RARE)
    words = {"rewards": [f"{tmp_path}/rare.py:lengthy"], "beta": 0.0, "num_generations": 2}

    def recipe(folder, **task):
        return with_task(reward(output_dir=str(tmp_path / folder), **EXACT), **{**words, **task})

    return recipe


def rollouts(folder):
    return [line for line in events(folder, "step") if "rollout" in line]


@pytest.mark.parametrize("task", ["grpo", "rloo"])
def test_groups_that_teach_nothing_are_drawn_anew_and_no_others(rare, tmp_path, task):
    plain, anew = Seen(), Seen()
    wt.train(rare("plain", name=task), watchers=[plain])
    told: list[str] = []
    tell = lambda event, **facts: told.append(facts.get("text", ""))  # noqa: E731
    wt.train(rare("anew", name=task, max_resample_times=2), watchers=[anew], tell=tell)
    before, after = rollouts(tmp_path / "plain")[0], rollouts(tmp_path / "anew")[0]
    assert "resampled" not in before
    groups = 4
    moot = round(before["frac_reward_zero_std"] * groups)
    assert 0 < moot < groups
    left = round(after["frac_reward_zero_std"] * groups)
    assert moot <= after["resampled"] <= 2 * moot
    assert left < moot
    # A group that was of use is bit for bit the one of the run without the key.
    kept = [
        [x, y] == [u, v]
        for (x, y), (u, v) in zip(
            zip(plain.advantages[0][::2], plain.advantages[0][1::2], strict=True),
            zip(anew.advantages[0][::2], anew.advantages[0][1::2], strict=True),
            strict=True,
        )
        if [x, y] != [0, 0]
    ]
    assert len(kept) == groups - moot
    assert all(kept)


def test_what_was_drawn_anew_is_gone_on_with_and_is_the_same_in_two_processes(rare, two_processes, tmp_path):
    words = {"max_resample_times": 3, "num_iterations": 3, "beta": 0.05}
    whole = rare("whole", **words)
    whole["train"] |= {"save_steps": 4, "max_steps": 7}
    wt.train(whole)
    halved = {**whole, "output_dir": str(tmp_path / "halved")}
    with pytest.raises(Killed):
        wt.train(halved, watchers=[KillAt(5)])
    wt.train(halved, resume=True)
    assert steps(tmp_path / "halved") == steps(tmp_path / "whole")
    assert same(tmp_path / "halved", tmp_path / "whole")
    assert any(line["resampled"] for line in rollouts(tmp_path / "whole"))
    two = {**whole, "output_dir": str(tmp_path / "two")}
    one = {**whole, "output_dir": str(tmp_path / "one")}
    one["train"] = {**whole["train"], "gradient_accumulation_steps": 2, "save_strategy": "no"}
    wt.train(one)
    two_processes.train({**two, "train": {**whole["train"], "save_strategy": "no"}})
    near(tmp_path / "one", tmp_path / "two")
    counted = [[line["resampled"] for line in rollouts(tmp_path / name)] for name in ("one", "two")]
    assert counted[0] == counted[1]


def test_a_reward_without_any_difference_stops_at_the_bound(rare, tmp_path):
    told: list[str] = []
    (tmp_path / "rare.py").write_text("def lengthy(prompts, answers, rows):\n    return [1] * len(answers)\n")
    recipe = rare("run", max_resample_times=2)
    recipe["train"]["max_steps"] = 1
    wt.train(recipe, tell=lambda event, **facts: told.append(facts.get("text", "")))
    (line,) = rollouts(tmp_path / "run")
    assert line["resampled"] == 2 * 4
    assert line["frac_reward_zero_std"] == 1
    assert sum("nothing is learnt from it" in text for text in told) == 1
    assert json.loads((tmp_path / "run" / "results.json").read_text())
