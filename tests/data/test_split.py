"""No text on two sides; each label's share on every side; the place in the file does not matter."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Split
from weitiao.data.check import normalised
from weitiao.data.split import SPLITS, split


def refused(code: str, *words: str):
    return pytest.raises(WeitiaoError, match=rf"(?s)^\[{code}\].*" + ".*".join(words))


LABELS = registry.build("task", {"name": "text_classification"})
CHAT = registry.build("task", {"name": "sft"})


def records(pairs) -> list[Record]:
    return [Record("a.csv", i, {"text": t, "label": label}) for i, (t, label) in enumerate(pairs, start=2)]


def many(count: int, *, labels: int = 3, seed: int = 0) -> list[Record]:
    rng = random.Random(seed)
    return records([(f"text {i}", str(min(rng.randrange(10), labels - 1))) for i in range(count)])


def texts(dealt) -> dict[str, list[str]]:
    return {name: [record.values["text"] for record in rows] for name, rows in dealt.items()}


def test_every_row_goes_to_exactly_one_side_in_file_order():
    rows = many(400)
    dealt = split(rows, LABELS, Split(), seed=0)
    assert tuple(dealt) == SPLITS
    assert sorted((r for side in dealt.values() for r in side), key=lambda r: r.line) == rows
    for side in dealt.values():
        assert [record.line for record in side] == sorted(record.line for record in side)


@pytest.mark.parametrize(
    ("validation", "test"), [(0.15, 0.15), (0.1, 0.3), (0.0, 0.2), (0.25, 0.0), (0.0, 0.0)]
)
def test_sizes_are_the_shares_asked_for(validation, test):
    rows = records([(f"text {i}", str(i % 2)) for i in range(200)])
    dealt = split(rows, LABELS, Split(validation=validation, test=test), seed=0)
    sizes = {name: len(side) for name, side in dealt.items()}
    assert sizes == {
        "validation": round(200 * validation),
        "test": round(200 * test),
        "train": 200 - round(200 * validation) - round(200 * test),
    }


def test_each_label_keeps_its_share_on_every_side():
    rows = many(1000, labels=4)
    everywhere = Counter(r.values["label"] for r in rows)
    for seed in range(5):
        dealt = split(rows, LABELS, Split(), seed=seed)
        for name, share in (("test", 0.15), ("validation", 0.15), ("train", 0.7)):
            counts = Counter(record.values["label"] for record in dealt[name])
            for label, count in everywhere.items():
                assert abs(counts[label] - share * count) <= 1, (name, label)


def test_without_stratifying_shares_are_left_to_chance():
    rows = many(1000, labels=4)
    everywhere = Counter(r.values["label"] for r in rows)
    off = 0
    for seed in range(5):
        counts = Counter(
            record.values["label"] for record in split(rows, LABELS, Split(stratify=False), seed=seed)["test"]
        )
        assert sum(counts.values()) == 150
        off += any(abs(counts[label] - 0.15 * count) > 1 for label, count in everywhere.items())
    assert off


def test_no_normalised_text_stands_on_two_sides():
    """Random tables in which most texts occur several times, in other case, width and spacing."""
    rng = random.Random(3)
    forms = [str, str.upper, lambda t: f"  {t} ", lambda t: t.replace(" ", "\u3000"), str.title]
    for seed in range(25):
        label = {f"text no {i}": str(i % 3) for i in range(60)}
        pairs = [(rng.choice(forms)(text), label[text]) for text in rng.choices(list(label), k=250)]
        dealt = split(records(pairs), LABELS, Split(), seed=seed)
        sides = [{normalised(text) for text in side} for side in texts(dealt).values()]
        assert sum(map(len, sides)) == len(set().union(*sides))
        assert all(sides)


def test_rows_that_ask_the_same_stay_together():
    asked = [f"question {i % 40}" for i in range(160)]
    rows = [
        Record(
            "a", i, {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": f"a {i}"}]}
        )
        for i, q in enumerate(asked, start=1)
    ]
    dealt = split(rows, CHAT, Split(), seed=0)
    sides = [{r.values["messages"][0]["content"] for r in side} for side in dealt.values()]
    assert sum(map(len, sides)) == 40


def test_where_a_row_goes_does_not_hang_on_its_place():
    rows = many(300)
    shuffled = rows[:]
    random.Random(1).shuffle(shuffled)
    one, other = split(rows, LABELS, Split(), seed=5), split(shuffled, LABELS, Split(), seed=5)
    assert {name: set(side) for name, side in texts(one).items()} == {
        name: set(side) for name, side in texts(other).items()
    }


def test_few_rows_change_sides_when_rows_are_added():
    before = split(many(1000), LABELS, Split(), seed=5)
    after = split(many(1010), LABELS, Split(), seed=5)
    side = {text: name for name, side in texts(after).items() for text in side}
    moved = sum(side[text] != name for name, texts_ in texts(before).items() for text in texts_)
    assert moved < 40


def test_the_seed_deals_anew_and_one_seed_always_alike():
    rows = many(300)
    assert split(rows, LABELS, Split(), seed=1) == split(rows, LABELS, Split(), seed=1)
    one, other = (set(texts(split(rows, LABELS, Split(), seed=seed))["test"]) for seed in (1, 2))
    assert len(one & other) < len(one) / 2


@pytest.mark.parametrize("rows", [0, 1, 2, 3])
def test_too_few_rows_are_refused_with_what_would_do(rows):
    with refused("too_few_rows", f"{rows} rows", "none would be left for", r"at least", "data.split"):
        split(records([(f"t {i}", str(i % 2)) for i in range(rows)]), LABELS, Split(), seed=0)


def test_what_is_said_to_be_enough_is_enough():
    for share in (0.05, 0.1, 0.15, 0.3):
        settings = Split(validation=share, test=share)
        with pytest.raises(WeitiaoError) as caught:
            split(records([("a", "0"), ("b", "1")]), LABELS, settings, seed=0)
        enough = caught.value.values["needed"]
        split(records([(f"t {i}", str(i % 2)) for i in range(enough)]), LABELS, settings, seed=0)


def test_sides_that_nobody_asked_for_may_be_empty():
    dealt = split(records([("a", "0"), ("b", "1")]), LABELS, Split(validation=0, test=0), seed=0)
    assert [len(dealt[name]) for name in SPLITS] == [2, 0, 0]


def test_a_label_without_training_rows_is_refused():
    rows = records([(f"t {i}", "common") for i in range(40)] + [("odd", "rare")])
    refusals = 0
    for seed in range(40):
        try:
            dealt = split(rows, LABELS, Split(validation=0.3, test=0.3, stratify=False), seed=seed)
        except WeitiaoError as error:
            refusals += '"rare" would have no training row' in str(error)
        else:
            assert "odd" in texts(dealt)["train"]
    assert 10 < refusals < 36
