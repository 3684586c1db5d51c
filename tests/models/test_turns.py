"""Rows that come while others are answered, each asked in its own way: each gets what it gets alone."""

from __future__ import annotations

import pytest
import torch

from tests.models.families import built
from tests.models.test_decoding import asked, prompts
from weitiao.models.decoding import Row, Turns, Way, decode
from weitiao.models.decoding.alone import alone


@pytest.fixture(scope="module")
def llama():
    return built("llama", "CausalLM")


WAYS = [
    asked(max_new_tokens=9),
    asked(max_new_tokens=15, sample=True, seed=3, temperature=1.2),
    asked(max_new_tokens=12, sample=True, seed=4, top_k=None, top_p=0.8),
    asked(max_new_tokens=20, stops=frozenset()),
]


def begun(model, *, waits: bool = False) -> Turns:
    return Turns(model, way=Way.RAGGED, padding=0, rows=5, tokens=200, waits=waits)


@pytest.mark.parametrize("waits", [False, True])
def test_rows_of_unlike_settings_that_come_at_any_time_are_answered_as_alone(llama, waits):
    turns, found, words = begun(llama, waits=waits), {}, {}
    coming = list(enumerate(prompts(11)))
    with torch.inference_mode():
        while turns.busy or coming:
            if coming:
                name, prompt = coming.pop(0)
                turns.add(Row(name, list(prompt), WAYS[name % 4], number=name))
            for said in turns.turn():
                words.setdefault(said.row.name, []).append(said.token)
                if said.answer:
                    found[said.row.name] = said.answer
        for name, prompt in enumerate(prompts(11)):
            way = WAYS[name % 4]
            expected = alone(llama, prompt, way, number=name)
            assert found[name].ids == expected.ids
            assert found[name].ending == expected.ending
            assert found[name].logps == pytest.approx(expected.logps, abs=1e-4)
            assert words[name] == [*expected.ids, *([expected.end] if expected.end is not None else [])]


def test_whoever_goes_before_the_end_leaves_the_others_as_they_are(llama):
    turns, long = begun(llama), asked(max_new_tokens=12, stops=frozenset())
    with torch.inference_mode():
        alone_said = dict(decode(llama, prompts(4), long, way=Way.ALONE))
        for name, prompt in enumerate(prompts(4)):
            turns.add(Row(name, list(prompt), long, number=name))
        found = {}
        for step in range(40):
            if step == 2:
                turns.drop(1)  # is being answered
                turns.drop(9)  # was never there
            found |= (
                {said.row.name: said.answer for said in turns.turn() if said.answer} if turns.busy else {}
            )
    assert not turns.busy
    assert found == {name: answer for name, answer in alone_said.items() if name != 1}


def test_one_that_waits_may_go_too_and_the_first_word_does_not_wait(llama):
    turns, long = begun(llama), asked(max_new_tokens=12, stops=frozenset())
    with torch.inference_mode():
        for name in range(4):
            turns.add(Row(name, [5 + name], long, number=name))
        assert {said.row.name for said in turns.turn()} == {0, 1, 2, 3}
        turns.add(Row(4, [9], long, number=4))
        assert [said.row.name for said in turns.turn()] == [4]
        turns.add(Row(5, [9, 9], long, number=5))  # five rows are the most that go together
        turns.add(Row(6, [9, 9], long, number=6))
        turns.turn()
        turns.drop(5)
        assert [row.name for row in turns.waiting] == [6]
