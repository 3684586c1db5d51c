"""Which rows make which step is a function of (seed, epoch) alone; every row once an epoch; hardly any padding."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import torch

from weitiao.core.contracts import Batch, Example
from weitiao.data.layout import Layout
from weitiao.data.pack import Batches, chunks, in_order, pad

STRATEGIES = ("group_by_length", "random")


def examples(count: int, *, seed: int = 0) -> list[Example]:
    rng = random.Random(seed)
    return [Example({"input_ids": [1] * rng.randint(1, 60)}) for _ in range(count)]


def collate(rows, indices) -> Batch:
    tokens, longest = sum(map(len, rows)), max(map(len, rows))
    return Batch({}, None, len(rows), list(indices), tokens=tokens, padding=longest * len(rows) - tokens)


def batches(count: int = 100, **words) -> Batches:
    return Batches(examples(count), collate, **{"batch_size": 8, **words})


def epoch_rows(found: Batches, epoch: int) -> list[list[list[int]]]:
    steps = range(epoch * found.steps_per_epoch, (epoch + 1) * found.steps_per_epoch)
    return [[batch.rows for batch in found.step(i)] for i in steps]


def padding(found: Batches) -> int:
    return sum(batch.padding for i in range(found.steps_per_epoch) for batch in found.step(i))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("accumulation", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 7, 8, 9, 100, 300])
def test_every_row_once_an_epoch(strategy, accumulation, count):
    found = batches(count, strategy=strategy, accumulation=accumulation)
    for epoch in range(3):
        steps = epoch_rows(found, epoch)
        assert sorted(row for step in steps for rows in step for row in rows) == list(range(count))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("count", "accumulation"), [(100, 1), (100, 3), (16, 2), (17, 2), (5, 4)])
def test_only_the_last_step_is_smaller(strategy, count, accumulation):
    found = batches(count, strategy=strategy, accumulation=accumulation)
    for epoch in range(4):
        sizes = [[len(rows) for rows in step] for step in epoch_rows(found, epoch)]
        assert all(step == [8] * accumulation for step in sizes[:-1])
        last = count - 8 * accumulation * (len(sizes) - 1)
        assert sum(sizes[-1]) == last
        assert 0 < last <= 8 * accumulation
        assert sizes[-1][:-1] == [8] * (len(sizes[-1]) - 1), "the short micro-batch stands last"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_order_is_a_function_of_seed_and_epoch_alone(strategy):
    forwards = [epoch_rows(batches(strategy=strategy, seed=3), epoch) for epoch in range(3)]
    found = batches(strategy=strategy, seed=3)
    backwards = [epoch_rows(found, epoch) for epoch in (2, 1, 0)][::-1]
    assert forwards == backwards
    one = found.steps_per_epoch + 4
    assert [b.rows for b in batches(strategy=strategy, seed=3).step(one)] == forwards[1][4], (
        "without those before"
    )
    assert forwards[0] != forwards[1] != forwards[2]
    assert epoch_rows(batches(strategy=strategy, seed=4), 0) != forwards[0]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_accumulating_changes_no_micro_batch(strategy):
    plain, accumulated = batches(strategy=strategy), batches(strategy=strategy, accumulation=4)
    flat = [[rows for step in epoch_rows(found, 1) for rows in step] for found in (plain, accumulated)]
    assert flat[0] == flat[1]


def test_the_order_does_not_touch_the_global_chance():
    random.seed(1)
    torch.manual_seed(1)
    before = random.getstate(), torch.get_rng_state()
    epoch_rows(batches(), 0)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_rows_of_like_length_together_pad_less():
    grouped, shuffled = batches(2000), batches(2000, strategy="random")
    assert padding(grouped) < 0.2 * padding(shuffled)


def test_lengths_are_still_mixed_over_the_steps():
    """Long rows must not all come first or last: the loss would follow the length."""
    found = batches(2000)
    means = [
        sum(len(found.examples[r]) for r in rows) / len(rows)
        for step in epoch_rows(found, 0)
        for rows in step
    ]
    half = len(means) // 2
    assert abs(sum(means[:half]) / half - sum(means[half:]) / (len(means) - half)) < 6
    assert means != sorted(means)
    assert max(means) - min(means) > 40


def test_rows_do_not_meet_the_same_neighbours_every_epoch():
    # No two rows are equally long, so that sorting all of them would always give the same batches.
    rows = [Example({"input_ids": [1] * length}) for length in range(1, 1001)]
    found = Batches(rows, collate, batch_size=8)
    together = [{frozenset(rows) for step in epoch_rows(found, e) for rows in step} for e in range(2)]
    assert len(together[0] & together[1]) < 5


def test_in_order_gives_every_row_once_with_little_padding():
    rows = examples(333)
    found = list(in_order(rows, collate, batch_size=16))
    assert sorted(row for batch in found for row in batch.rows) == list(range(333))
    assert Counter(len(batch.rows) for batch in found) == {16: 20, 13: 1}
    assert sum(batch.padding for batch in found) < 0.05 * sum(batch.tokens for batch in found)


def test_in_order_holds_no_more_tokens_than_it_may_but_for_a_single_long_row():
    rows = [Example({"input_ids": [1] * length}) for length in [*range(1, 60), 400, 900]]
    found = list(in_order(rows, collate, batch_size=16, max_tokens=300))
    assert sorted(row for batch in found for row in batch.rows) == list(range(61))
    assert all(batch.tokens <= 300 or len(batch.rows) == 1 for batch in found)
    assert max(len(batch.rows) for batch in found) == 16


# --- weights


def counted(found: Batches, epoch: int) -> Counter:
    return Counter(row for rows in found.plan(epoch) for row in rows)


WEIGHTED = [2.0] * 20 + [0.5] * 31 + [1.0] * 10 + [1.25] * 40 + [0.1] * 3
BUDGETS = ({}, {"max_tokens": 200}, {"max_tokens": 200, "layout": Layout.PACKED})


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rows_come_as_often_as_their_weight_says(strategy, budget):
    found = batches(len(WEIGHTED), weights=WEIGHTED, strategy=strategy, **budget)
    for epoch in range(6):
        seen = counted(found, epoch)
        times = {
            weight: [seen[row] for row, w in enumerate(WEIGHTED) if w == weight] for weight in set(WEIGHTED)
        }
        assert set(times[2.0]) == {2}
        assert set(times[1.0]) == {1}
        assert set(times[0.5]) == {0, 1}
        assert sum(times[0.5]) in (15, 16)
        assert set(times[1.25]) == {1, 2}
        assert sum(times[1.25]) == 50
        assert sum(times[0.1]) == 1, "a small file does not vanish"
        assert seen.total() == found.rows_per_epoch
        assert len(found.plan(epoch)) == len(found.plan(0))
        for rows in found.plan(epoch) if budget else ():
            sizes = [len(found.examples[row]) for row in rows]
            held = sum(sizes) if "layout" in budget else max(sizes) * len(sizes)
            assert held <= budget["max_tokens"], "whoever was drawn"


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_which_rows_make_up_a_fraction_is_drawn_anew_each_epoch(strategy, budget):
    found = batches(200, weights=[0.5] * 200, strategy=strategy, **budget)
    drawn = [frozenset(counted(found, epoch)) for epoch in range(30)]
    assert all(len(rows) == 100 for rows in drawn)
    assert len(set(drawn)) == 30
    often = Counter(row for rows in drawn for row in rows)
    assert len(often) == 200, "none is left out for good"
    assert max(often.values()) < 28, "nor always in"
    again = batches(200, weights=[0.5] * 200, strategy=strategy, **budget)
    assert again.plan(17) == found.plan(17), "a function of seed and epoch alone"
    assert again.plan(3) == found.plan(3)
    other = batches(200, weights=[0.5] * 200, strategy=strategy, seed=1, **budget)
    assert frozenset(counted(other, 0)) != drawn[0]


def test_weights_of_one_change_nothing():
    assert counted(batches(50, weights=[1.0] * 50), 2) == Counter(range(50))


# --- a budget of tokens


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("budget", "size"), [(64, 8), (300, 8), (300, 1000), (10, 8), (10_000, 8), (1, 8)])
def test_no_batch_holds_more_tokens_than_allowed(strategy, budget, size, padded):
    found = batches(
        150,
        strategy=strategy,
        max_tokens=budget,
        layout=Layout.PADDED if padded else Layout.PACKED,
        batch_size=size,
        accumulation=2,
    )
    long = 0
    for epoch in range(4):
        steps = epoch_rows(found, epoch)
        assert len(steps) == found.steps_per_epoch
        assert all(len(step) == 2 for step in steps[:-1])
        flat = [rows for step in steps for rows in step]
        assert sorted(row for rows in flat for row in rows) == list(range(150))
        for rows in flat:
            sizes = [len(found.examples[row]) for row in rows]
            held = max(sizes) * len(sizes) if padded else sum(sizes)
            assert len(rows) <= size
            assert held <= budget or len(rows) == 1
            long += held > budget
        assert len(flat) == len(found.plan(0)), "the same number of batches, and so of steps, in every epoch"
    assert (long > 0) == (budget < 60)


def test_a_budget_fills_batches_and_mixes_their_order():
    found = batches(400, max_tokens=240, layout=Layout.PACKED, batch_size=1000, strategy="random")
    sizes = [sum(len(found.examples[row]) for row in rows) for rows in found.plan(0)]
    assert sum(sizes) / len(sizes) > 240 - 60, "no batch could have taken the row after it"
    assert found.plan(0) != found.plan(1) != found.plan(2)
    assert batches(400, max_tokens=240, layout=Layout.PACKED, batch_size=1000, strategy="random").plan(
        2
    ) == found.plan(2)


# --- padding


@pytest.mark.parametrize(
    "words", [{}, {"max_tokens": 100}, {"strategy": "random"}, {"weights": [0.5, 2.0] * 50}]
)
def test_the_share_of_padding_is_that_of_the_batches(words):
    found = batches(100, **words)
    made = [batch for i in range(found.steps_per_epoch) for batch in found.step(i)]
    held = sum(batch.tokens + batch.padding for batch in made)
    assert found.padding() == pytest.approx(sum(batch.padding for batch in made) / held)
    assert batches(100, layout=Layout.PACKED, **words).padding() == 0


def test_chunks_and_pad():
    assert chunks([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert chunks([], 2) == []
    assert pad([[1], [2, 3, 4]], 9).tolist() == [[1, 9, 9], [2, 3, 4]]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("budget", [None, 200])
@pytest.mark.parametrize("padded", [True, False])
def test_no_micro_batch_of_the_first_epoch_is_heavier_than_the_heaviest(strategy, budget, padded):
    found = batches(
        300, strategy=strategy, max_tokens=budget, layout=Layout.PADDED if padded else Layout.PACKED
    )

    def size(batch):
        return batch.tokens + (batch.padding if padded else 0)

    met = [size(batch) for index in range(found.steps_per_epoch) for batch in found.step(index)]
    heaviest = size(found.heaviest())
    assert heaviest >= max(met)
    if strategy == "random" or budget:
        assert heaviest == max(met)
    else:
        longest = sorted(map(len, found.examples))[-8:]
        assert heaviest == (8 * max(longest) if padded else sum(longest))
