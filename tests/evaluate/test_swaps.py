"""Words swapped for others of their kind, beside as many neutral ones, and who is said to lean."""

from __future__ import annotations

import re
from importlib import resources
from random import Random

import numpy as np
import pytest
import yaml

from weitiao.core.contracts import Record
from weitiao.data.shapes import CONVERSATION, LABELLED, TAGGED
from weitiao.evaluate.stress.counterfactual import change, compared, judged
from weitiao.evaluate.stress.paired_change import Drawing
from weitiao.evaluate.stress.swaps import KINDS, NEUTRAL, neutral, put, swap, swapped

LISTS = yaml.safe_load(
    resources.files("weitiao.evaluate.stress").joinpath("swaps.yaml").read_text(encoding="utf-8")
)
del LISTS["apart"]


def row(text: str) -> Record:
    return Record("f.csv", 1, {"text": text, "label": "a"})


def other(text: str, kind: str = "gender") -> str | None:
    found = swapped(row(text), LABELLED, swap(kind)).record
    return found and found.values["text"]


@pytest.mark.parametrize(
    ("kind", "text", "meant"),
    [
        ("gender", "He's a great ACTOR.", "She's a great ACTRESS."),
        ("gender", "I like her films; I saw her in Rome.", "I like his films; I saw him in Rome."),
        ("gender", "The idea was his.", "The idea was hers."),
        ("gender", "Her acting, and the mother.", "His acting, and the father."),
        ("gender", "Mr. Smith told Mary that he left.", "Mrs. Smith told John that she left."),
        ("gender", "他是其他人的父亲，吉他很好", "她是其他人的母亲，吉他很好"),
        ("gender", "男主角和女孩", "女主角和男孩"),
        ("names", "John met emily and Emily.", "Jamal met emily and Ebony."),
        ("names", "小明很好", "巴桑很好"),
        ("origin", "An American in Germany", "An Ethiopian in Nigeria"),
        ("origin", "她从北京来，印度尼西亚很远", "她从甘肃来，印度尼西亚很远"),
        (NEUTRAL, "This movie was Big", "This film is Large"),
    ],
)
def test_case_and_grammar_are_kept_and_twice_is_once(kind, text, meant):
    assert other(text, kind) == meant
    assert other(meant, kind) == text


def test_what_twice_does_not_give_back_is_left_out_and_counted():
    found = swapped(row("She gave him money."), LABELLED, swap("gender"))
    assert (found.record, found.words) == (None, 2)
    assert swapped(row("The theme is shere."), LABELLED, swap("gender")).words == 0


def test_twice_is_the_identity_on_texts_of_all_words():
    rng = Random(0)
    for kind in (*KINDS, NEUTRAL):
        own = swap(kind)
        words = [
            *own.words,
            *(name.capitalize() for name in own.names),
            *own.chinese,
            "good",
            "was",
            "，",
            ".",
        ]
        for _ in range(200):
            text = " ".join(rng.choice((str, str.upper, str.capitalize))(rng.choice(words)) for _ in range(8))
            once = other(text, kind)
            assert once is None or other(once, kind) == text


def takes_an(word: str) -> bool:
    return word[0] in "aeiou" and not word.startswith("eu")


def test_the_lists_hold_what_they_promise():
    neutral_words = {
        word for pair in (*LISTS[NEUTRAL]["en"].items(), *LISTS[NEUTRAL]["zh"].items()) for word in pair
    }
    for kind, parts in LISTS.items():
        for part in ("en", "names", "zh"):
            words = [word.lower() for pair in parts.get(part, {}).items() for word in pair]
            assert len(words) == len(set(words)), f"{kind} {part}: a word stands twice"
            if kind != NEUTRAL:
                assert not neutral_words & set(words)
        for one, two in {**parts.get("en", {}), **parts.get("names", {})}.items():
            # Verbs and names follow no article.
            assert kind == NEUTRAL or one[0].isupper() or takes_an(one) == takes_an(two), (one, two)
            assert re.fullmatch("[A-Za-z]+", one + two), "whole words alone"
        together = {**parts.get("en", {}), **parts.get("names", {})}
        lower = [word.lower() for pair in together.items() for word in pair]
        assert len(lower) == len(set(lower)), f"{kind}: a name is a word, too"


def edits(before: str, after: str) -> int:
    return sum(a != b for a, b in zip(before.split(), after.split(), strict=True))


def test_the_neutral_swap_edits_as_many_words_and_none_of_the_kind():
    text = "He said that the movie was on Monday and his father will begin it in a week"
    words = swapped(row(text), LABELLED, swap("gender")).words
    assert words == edits(text, other(text)) == 3
    drawn = {neutral(row(text), LABELLED, words, Random(seed)).values["text"] for seed in range(30)}
    assert len(drawn) > 5
    for made in drawn:
        assert edits(text, made) == words
        assert other(made) is not None
        assert swapped(row(made), LABELLED, swap("gender")).words == words
    assert neutral(row("He was his father"), LABELLED, 3, Random(0)) is None


def test_tags_stay_and_answers_are_not_touched():
    tagged = Record("f", 1, {"tokens": ["John", "is", "here"], "tags": ["B-PER", "O", "O"]})
    made = swapped(tagged, TAGGED, swap("gender")).record.values
    assert made == {"tokens": ["Mary", "is", "here"], "tags": ["B-PER", "O", "O"]}
    turns = [{"role": "user", "content": "he?"}, {"role": "assistant", "content": "he."}]
    made = swapped(Record("f", 1, {"messages": turns}), CONVERSATION, swap("gender")).record.values
    assert [turn["content"] for turn in made["messages"]] == ["she?", "he."]


def test_a_place_is_put_where_it_was_found():
    text = "is 他 IS"
    assert put(text, swap(NEUTRAL).places(text)) == "was 他 WAS"


def leaning(rng, rows: int, *, swap_flips: float, neutral_flips: float) -> list[bool]:
    """Of three kinds the first flips so often."""
    each = []
    for kind in range(3):
        rate = swap_flips if kind == 0 else neutral_flips
        moved = {"swapped": rng.random(rows) < rate, "neutral": rng.random(rows) < neutral_flips}
        each.append({**compared(moved, None, Drawing(resamples=10)), "leans": None})
    judged(each, Drawing())
    return [one["leans"] for one in each]


@pytest.mark.whole
def test_a_model_without_a_leaning_is_rarely_accused_and_one_that_has_it_is_named():
    rng = np.random.default_rng(0)
    accused = sum(any(leaning(rng, 120, swap_flips=0.15, neutral_flips=0.15)) for _ in range(100))
    assert accused <= 0.05 * 100
    assert all(leaning(rng, 120, swap_flips=0.4, neutral_flips=0.15)[0] for _ in range(10))


def test_numbers_move_by_how_much_they_change():
    assert change({"number": 3.0}, {"number": 1.5}) == 1.5
    assert change({"label": "a"}, {"label": "b"}) == 1.0
    found = compared({"swapped": [1.0, 2.0] * 20, "neutral": [0.5, 0.5] * 20}, None, Drawing(), share=False)
    assert found["difference"] == pytest.approx(1.0)
    assert found["test"] == "paired permutation"
    assert found["low"] > 0
