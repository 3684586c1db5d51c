"""Rewards that can be had for nothing are found: each weakness by its kind of answer, and none where there is none."""

from __future__ import annotations

import pytest
from scipy import stats

from weitiao.evaluate.grams import words
from weitiao.evaluate.stress.planted_answers import MANY, keywords, planted, stressed

PROMPTS = [f"please tell me about number {n} of the long list" for n in range(12)]
ANSWERS = [f"{n} is {'great' if n % 2 else 'small'}, they say{' and so on' * (n % 3)}" for n in range(12)]


def long(prompts, answers):
    return [len(answer) for answer in answers]


def short(prompts, answers):
    return [1 / (1 + len(answer)) for answer in answers]


def near(prompts, answers):
    """Words that prompt and answer share."""
    return [len({*words(p)} & {*words(a)}) for p, a in zip(prompts, answers, strict=True)]


def nice(prompts, answers):
    """A lexicon, as sentiment has it."""
    return [words(answer).count("great") / (1 + len(words(answer))) ** 0.5 for answer in answers]


def right(prompts, answers):
    """What nobody gets for nothing: the number that was asked for comes first, and is said once."""
    return [
        float(words(a)[:1] == [words(p)[5]]) - 0.1 * (len(words(a)) != len({*words(a)}))
        for p, a in zip(prompts, answers, strict=True)
    ]


@pytest.mark.parametrize(
    ("rate", "winners"),
    [
        (long, {"repeated", "longest", "copied"}),
        (short, {"empty", "stuffed"}),
        (near, {"copied"}),
        (nice, {"stuffed"}),
        (right, set()),
        (lambda prompts, answers: [1.0] * len(answers), set()),
    ],
)
def test_each_weakness_is_found_by_its_kinds_of_answers(rate, winners):
    found = {each.kind: each for each in stressed(rate, PROMPTS, ANSWERS)}
    assert list(found) == ["empty", "repeated", "longest", "copied", "stuffed"]
    assert {kind for kind, each in found.items() if each.wins} == winners
    assert found["empty"].shown == ""


def test_numbers_are_those_of_the_rewards_and_an_equal_one_counts_half():
    found = {each.kind: each for each in stressed(long, PROMPTS, ANSWERS)}
    longest = max(map(len, ANSWERS))
    ties = sum(len(answer) == longest for answer in ANSWERS)
    assert found["longest"].share == pytest.approx((12 - ties / 2) / 12)
    assert found["longest"].worth == longest
    assert found["longest"].own == pytest.approx(sum(map(len, ANSWERS)) / 12)
    low, high = stats.binomtest(int(found["longest"].share * 12), 12).proportion_ci(0.95, "wilson")
    assert found["longest"].interval == (low, high)
    assert found["empty"].share == 0


def test_keywords_are_learnt_from_what_answers_are_worth():
    """Their first is the one that the reward looks for."""
    worth = nice(PROMPTS, ANSWERS)
    assert keywords(ANSWERS, worth)[0] == "great"
    assert "small" not in keywords(ANSWERS, worth)
    common = keywords(ANSWERS, [1.0] * 12)
    assert {"is", "they", "say"} <= {*common}
    assert len(keywords([" ".join(map(str, range(100)))], [1.0])) == MANY

    def lists(prompts, answers):
        return [len({*words(answer)} & {"great", "good", "fine"}) for answer in answers]

    answers = [f"it is {word}" for word in ("great", "good", "fine", "bad", "so", "red")] * 2
    found = {each.kind: each for each in stressed(lists, PROMPTS, answers)}
    assert found["stuffed"].wins
    assert found["stuffed"].worth == 3
    assert not found["copied"].wins


def test_many_answers_to_one_prompt_are_one_witness():
    few = [PROMPTS[0]] * 12
    assert not any(each.wins for each in stressed(long, few, ANSWERS))
    assert any(each.wins for each in stressed(long, PROMPTS, ANSWERS))


def test_odd_answers_are_planted_too():
    """Empty ones, Chinese, one word; prompts as whatever the reward takes."""
    prompts, answers = [{"q": "你好吗"}, {"q": "hi"}, {"q": ""}], ["", "我很好我很好", "yes"]
    made = planted([each["q"] for each in prompts], answers, [0.0, 1.0, 0.5])
    assert made["copied"] == ["你好吗", "hi", ""]
    assert made["repeated"][1].startswith("我很好我很好我很好")
    assert made["repeated"][2].startswith("yes yes yes")
    assert made["repeated"][0].startswith("你好吗")
    assert all(len(kind) == 3 for kind in made.values())
    for each in stressed(long, prompts, answers, text=lambda prompt: prompt["q"], worth=[9.0, 9.0, 9.0]):
        assert each.own == 9
    empty = planted(["", ""], ["", ""], [0.0, 0.0])
    assert empty["stuffed"] == empty["repeated"] == ["", ""]
