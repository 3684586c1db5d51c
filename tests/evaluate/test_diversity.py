"""How various answers are before and after tuning: the numbers of the metrics, intervals that cover, and a planted collapse."""

from __future__ import annotations

import random

import numpy as np

from weitiao.evaluate.stress.diversity import found, section
from weitiao.evaluate.stress.paired_change import Drawing


def said(rng: random.Random, rows: int, words: int) -> list[dict[str, str]]:
    """Answers of eight words each, of so many known ones."""
    return [{"answer": " ".join(f"w{rng.randrange(words)}" for _ in range(8))} for _ in range(rows)]


def distinct(told: list[dict[str, str]]) -> float:
    all_ = [word for one in told for word in one["answer"].split()]
    return len({*all_}) / len(all_)


def test_a_collapse_is_named_and_values_are_those_of_a_plain_count():
    rng = random.Random(0)
    told = {"tuned": said(rng, 40, 12), "untuned": said(rng, 40, 200)}
    made = found(told, list(range(40)), Drawing())
    each = {one["name"]: one for one in made["metrics"]}
    one = each["distinct_1"]
    for system, rows in told.items():
        assert np.isclose(one[system]["value"], distinct(rows))
    assert np.isclose(one["difference"], one["tuned"]["value"] - one["untuned"]["value"])
    assert one["low"] < one["difference"] < one["high"] < 0
    assert one["p_holm"] < 0.05
    assert each["self_bleu"]["difference"] > 0
    table = section(made)
    assert [row.name.en for row in table.rows][:2] == ["distinct-1", "distinct-2"]
    assert "40" in table.foot.en


def test_where_nothing_differs_intervals_hold_nought_and_the_test_is_quiet():
    rng, held, loud = random.Random(1), 0, 0
    for seed in range(40):
        told = {system: said(rng, 30, 60) for system in ("tuned", "untuned")}
        (one,) = found(told, list(range(30)), Drawing(seed=seed), metrics=["distinct_1"])["metrics"]
        held += one["low"] <= 0 <= one["high"]
        loud += one["p_value"] < 0.05
    assert held >= 34  # of 40 at 95 %: fewer come once in 500
    assert loud <= 6


def test_few_answers_or_one_system_alone_are_said():
    rng = random.Random(0)
    for told in ({}, {"tuned": said(rng, 40, 9)}, {s: said(rng, 9, 9) for s in ("tuned", "untuned")}):
        made = found(told, list(range(40)), Drawing())
        assert "metrics" not in made
        assert "evaluate.answers" in made["why"]
    same = {system: [{"answer": "yes"}] * 12 for system in ("tuned", "untuned")}
    made = found(same, list(range(12)), Drawing())["metrics"]
    assert [one["difference"] for one in made[:1]] == [0]
    assert "nan" not in str(made)
    same = {system: [{"answer": "yes and no and yes"}] * 61 for system in ("tuned", "untuned")}
    for one in found(same, list(range(61)), Drawing(), metrics=["distinct_1", "distinct_2"])["metrics"]:
        assert (one["tuned"]["low"], one["low"]) == (None, None)
