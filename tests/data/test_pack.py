"""Which rows make which step is a function of (seed, epoch) alone; every row once an epoch; hardly any padding."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import torch

from weitiao.core.contracts import Batch, Example
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


def test_chunks_and_pad():
    assert chunks([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert chunks([], 2) == []
    assert pad([[1], [2, 3, 4]], 9).tolist() == [[1, 9, 9], [2, 3, 4]]
