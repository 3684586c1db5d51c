"""Answers in a context are counted as SQuAD's own script counts them; the baselines and the threshold by brute force."""

from __future__ import annotations

import re
import string
from collections import Counter
from random import Random

import numpy as np
import pytest

from tests.conftest import asked
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.data import answer_words
from weitiao.data.shapes import QUESTIONED


def official(said: str, right: list[str]) -> tuple[float, float]:
    """Exact match and F1 of evaluate-v2.0.py, written again from its description."""

    def plain(text: str) -> str:
        text = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())

    def f1(one: str, other: str) -> float:
        ours, theirs = plain(one).split(), plain(other).split()
        same = sum((Counter(ours) & Counter(theirs)).values())
        if not ours or not theirs:
            return float(ours == theirs)
        if not same:
            return 0.0
        precision, recall = same / len(ours), same / len(theirs)
        return 2 * precision * recall / (precision + recall)

    golds = [text for text in right if plain(text)] or [""]
    return max(float(plain(said) == plain(gold)) for gold in golds), max(f1(said, gold) for gold in golds)


def test_exact_match_and_f1_are_those_of_squad():
    rng = Random(0)
    words = [
        "the",
        "The",
        "a",
        "Eiffel",
        "tower,",
        "tower",
        "U.S.",
        "US",
        "-",
        "1889",
        "caf\u00e9",
        "\u201cx\u201d",
        "",
    ]
    for _ in range(500):
        said = " ".join(rng.choices(words, k=rng.randint(0, 4)))
        right = [" ".join(rng.choices(words, k=rng.randint(1, 4))) for _ in range(rng.randint(0, 3))]
        assert (answer_words.exact(said, right), answer_words.f1(said, right)) == pytest.approx(
            official(said, right)
        )


def test_chinese_is_counted_by_characters_without_its_punctuation():
    assert answer_words.words("《红楼梦》，1791年 by Cao") == ["红", "楼", "梦", "1791", "年", "by", "cao"]
    assert answer_words.exact("“埃菲尔铁塔”。", ["埃菲尔铁塔"]) == 1
    assert answer_words.f1("埃菲尔塔", ["埃菲尔铁塔"]) == pytest.approx(2 * 4 / (4 + 5))


def test_questions_with_and_without_an_answer_can_be_counted_apart():
    known = [{"answers": ["a b"]}, {"answers": []}, {"answers": ["c"]}]
    said = [{"answer": "b"}, {"answer": ""}, {"answer": "c"}]

    def value(name, rows=slice(None)):
        metric = registry.build("metric", {"name": name})
        return float(metric.value(np.asarray(metric.rows(known[rows], said[rows], ())).sum(0)))

    assert value("squad_f1_answerable") == value("squad_exact_match_answerable") == 1.0  # "a" is an article
    assert value("squad_f1_unanswerable") == value("squad_exact_match") == 1.0
    assert np.isnan(value("squad_f1_unanswerable", slice(0, 1)))


def test_the_threshold_is_the_best_of_all():
    rng = Random(1)
    for _ in range(300):
        count = rng.randint(1, 8)
        gaps = rng.choices([-3.0, -1.0, -0.5, 0.0, 0.5, 2.0], k=count)
        answered, none = rng.choices([0.0, 0.5, 1.0], k=count), rng.choices([0.0, 1.0], k=count)

        rows = list(zip(gaps, answered, none, strict=True))
        chosen = answer_words.threshold(gaps, answered, none)
        worth = {
            least: sum(silent if gap > least else spoken for gap, spoken, silent in rows)
            for least in (chosen, *(gap + 0.25 for gap in {-9.0, *gaps}))
        }
        assert worth[chosen] == pytest.approx(max(worth.values()))
    assert answer_words.threshold([-4.0, 3.0], [1.0, 0.0], [0.0, 1.0]) == 0.0


def told(name, rows, unseen, **settings):
    baseline = registry.build("baseline", {"name": name, **settings})
    records = [Record("t", line, row) for line, row in enumerate([*rows, *unseen])]
    return baseline.fit(records[: len(rows)], QUESTIONED)(records[len(rows) :])


def test_the_whole_context_is_said_or_nothing_whatever_is_worth_more():
    answered = [{**row, "context": row["answers"][0]["text"]} for row in asked(20) if row["answers"]]
    silent = [{**row, "answers": []} for row in asked(30)]
    whole = {"answer": answered[0]["context"], "start": 0, "end": len(answered[0]["context"])}
    assert told("whole_context", answered + silent[:5], answered[:1]) == [whole]
    assert told("whole_context", answered + silent, answered[:1])[0]["answer"] == ""


def test_words_near_the_question_are_found_and_silence_is_learnt():
    """Facts that a reader finds by the words beside them; a name that is not there has no answer."""
    rng = Random(2)
    names = [f"{a}{b}" for a in ("Ro", "Li", "Ma", "Te") for b in ("sa", "no", "ra", "bin", "mer")]

    def row(*, there=True):
        own = rng.sample(names, 4)
        facts = " ".join(f"The box of {name} holds {rng.randint(100, 999)} coins." for name in own[:3])
        who = rng.choice(own[:3]) if there else own[3]
        answer = re.search(f"of {who} holds (\\d+)", facts)
        answers = [{"text": answer[1], "start": answer.start(1)}] if answer else []
        return {"question": f"How many coins does {who} have?", "context": facts, "answers": answers}

    rows = [row(there=place % 3 > 0) for place in range(150)]
    unseen = [row(there=place % 3 > 0) for place in range(30)]
    found = told("nearby_words", rows, unseen)
    assert found == told(
        "nearby_words", rows, [{**one, "answers": []} for one in unseen]
    )  # answers are not looked at
    right = [
        said["answer"] == (one["answers"][0]["text"] if one["answers"] else "")
        for said, one in zip(found, unseen, strict=True)
    ]
    assert sum(right) >= 27
    for said, one in zip(found, unseen, strict=True):
        assert said["answer"] == (
            "" if said["start"] is None else one["context"][said["start"] : said["end"]]
        )


def test_a_baseline_says_something_of_odd_rows():
    rows = [
        {"question": "?", "context": "。。。", "answers": []},
        {"question": "q", "context": "a", "answers": []},
    ]
    assert all(one["answer"] == "" for one in told("nearby_words", rows, rows))
    only = [{"question": "q", "context": "a b", "answers": [{"text": "a b", "start": 0}]}]
    assert [one["answer"] for one in told("nearby_words", only, rows)] == ["。。。", "a"]


def test_a_threshold_is_a_number_and_the_best_also_where_all_rows_lie_on_one_side_of_it():
    rng = np.random.default_rng(0)
    for rows in (1, 2, 3, 6):
        for _ in range(60):
            gaps = rng.integers(-3, 4, rows) + rng.choice([-5, 0, 5])
            answered, unanswered = rng.integers(0, 2, (2, rows))

            def worth(threshold):
                return np.where(gaps > threshold, unanswered, answered).sum()  # noqa: B023

            chosen = answer_words.threshold(gaps, answered, unanswered)
            assert np.isfinite(chosen)
            assert worth(chosen) == max(map(worth, np.arange(-20, 20, 0.25)))
