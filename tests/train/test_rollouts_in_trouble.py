"""Rollouts that something happens to: one that was kept is spoilt, products are in half precision, a prompt is too long."""

from __future__ import annotations

import json

import pytest

import weitiao as wt
from tests.compared import prompts
from tests.conftest import write_jsonl
from tests.train.test_loop import KillAt, Killed, events, same, steps
from tests.train.test_rollouts import EXACT, with_task
from weitiao.core.run import RunFolder

pytestmark = pytest.mark.whole


@pytest.mark.parametrize("harm", ["bit", "gone"])
def test_a_spoilt_rollout_is_passed_over_and_drawn_again_as_it_was(reward, tmp_path, harm):
    """The newest checkpoint stands inside a rollout, and so does the one before it."""
    words = {**EXACT, "save_steps": 1, "max_steps": 5}
    whole = with_task(reward(output_dir=str(tmp_path / "whole"), **words), num_iterations=4)
    wt.train(whole)
    broken = {**whole, "output_dir": str(tmp_path / "broken")}
    with pytest.raises(Killed):
        wt.train(broken, watchers=[KillAt(3)])
    newest = RunFolder(tmp_path / "broken").checkpoints()[0]
    file = newest / "rollout.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-5] ^= 1
    file.unlink()
    if harm == "bit":
        file.write_bytes(raw)
    told = []
    wt.train(broken, resume=True, tell=lambda event, **facts: told.append(facts.get("text") or ""))
    assert sum(newest.name in text for text in told) == 1
    assert steps(tmp_path / "broken") == steps(tmp_path / "whole")
    assert same(tmp_path / "broken", tmp_path / "whole")


@pytest.mark.parametrize("method", ["lora", "full"])
def test_in_half_precision_the_reference_stays_what_it_was(reward, tmp_path, method):
    """Copies of weights in half precision are kept while a model is asked: those of the policy are no reference's."""
    words = {**EXACT, "method": method, "max_steps": 5, "learning_rate": {"lora": 2e-2, "full": 5e-3}[method]}
    moved = {}
    for half in (True, False):
        recipe = reward(output_dir=str(tmp_path / str(half)), **words, bf16=half)
        wt.train(with_task(recipe, num_iterations=1, beta=0.5))
        moved[half] = [line["kl"] for line in events(tmp_path / str(half), "step")]
    # Nothing has moved at first; then as far as in float32, and not by 0 nor by what rounding makes.
    assert moved[True][0] == pytest.approx(0, abs=2e-3)
    assert moved[False][-1] > 0.01
    assert moved[True][-1] == pytest.approx(moved[False][-1], rel=0.5)


@pytest.mark.parametrize("task", ["grpo", "ppo"])
def test_a_prompt_that_leaves_no_room_for_an_answer_is_located_and_counted(reward, tmp_path, task):
    rows = prompts(60)
    rows[7]["prompt"] = " ".join(["film"] * 40)
    rows[9]["prompt"] = " "
    file = write_jsonl(tmp_path / "odd.jsonl", rows)
    recipe = reward(output_dir=str(tmp_path / "run"), **{**EXACT, "max_steps": 1})
    if task == "ppo":
        recipe["task"] = {"name": "ppo", "rewards": ["length"], "response_length": 3}
    recipe["data"] |= {"train": str(file), "max_length": 24, "max_dropped_fraction": 0.1}
    wt.train(recipe)
    ledger = json.loads((tmp_path / "run" / "data" / "ledger.json").read_text())
    lost = {line["line"]: (line["status"], line["reason"]) for line in ledger["rows"]}
    assert lost[8][0] == "dropped"
    assert lost[10][0] == "quarantined"
    assert {8, 10} == {*lost}
    assert sum(ledger["split"].values()) == 58
