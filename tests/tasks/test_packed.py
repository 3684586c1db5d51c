"""Rows end to end see nothing of each other: losses, gradients and predictions are those of the rows one by one."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from weitiao.core import registry
from weitiao.core.contracts import Example
from weitiao.data.chat import IGNORE
from weitiao.evaluate import judge
from weitiao.tasks.parts import packed


@pytest.fixture(scope="module")
def model(llama):
    """The toy Llama, with weights large enough that a leak between rows would be seen."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    made = AutoModelForCausalLM.from_pretrained(llama).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight += torch.randn_like(weight) * 0.3
    return made


def examples(count: int, *, seed: int = 0) -> list[Example]:
    """Rows of 2 to 12 tokens, of which some are learnt, never the first."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        ids = [rng.randrange(40) for _ in range(rng.randint(2, 12))]
        labels = [IGNORE, *(token if rng.random() < 0.6 else IGNORE for token in ids[1:])]
        labels[-1] = ids[-1]
        learnt = sum(label != IGNORE for label in labels)
        made.append(Example({"input_ids": ids, "labels": labels}, trained=learnt))
    return made


def alone(model, example: Example) -> torch.Tensor:
    """Cross-entropy of a row's learnt tokens in the plainest way: one row, all logits, shifted by one."""
    ids, labels = (torch.tensor([example.inputs[name]]) for name in ("input_ids", "labels"))
    logits_TV = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
    losses_T = F.cross_entropy(logits_TV, labels[0, 1:], ignore_index=IGNORE, reduction="none")
    return losses_T[labels[0, 1:] != IGNORE]


# --- the batch


def test_a_batch_by_hand():
    rows = [
        Example({"input_ids": [5, 6, 7], "labels": [IGNORE, 6, 7]}, trained=2),
        Example({"input_ids": [8, 9], "labels": [IGNORE, 9]}, trained=1),
    ]
    batch = packed.pack(rows, [4, 2])
    assert batch.inputs["input_ids"].tolist() == [[5, 6, 7, 8, 9]]
    assert batch.inputs["position_ids"].tolist() == [[0, 1, 2, 0, 1]]
    assert batch.inputs["cu_seq_lens_q"].tolist() == [0, 3, 5]
    assert batch.inputs["logits_to_keep"].tolist() == [0, 1, 3], "what comes before each learnt token"
    assert batch.target.tolist() == [6, 7, 9]
    assert batch.extra["owner"].tolist() == [0, 0, 1]
    assert (batch.trained, batch.rows, batch.tokens, batch.padding) == (3, [4, 2], 5, 0)


def test_positions_start_again_and_every_learnt_token_has_one_before_it():
    rows = examples(30)
    batch = packed.pack(rows, range(30))
    assert batch.inputs["position_ids"][0].tolist() == [i for row in rows for i in range(len(row))]
    keep = batch.inputs["logits_to_keep"]
    ids, positions = batch.inputs["input_ids"][0], batch.inputs["position_ids"][0]
    assert torch.equal(ids[keep + 1], batch.target)
    assert torch.equal(positions[keep + 1], positions[keep] + 1), "never the last token of the row before"
    assert batch.trained == sum(row.trained for row in rows) == len(keep)
    assert batch.tokens == sum(map(len, rows))


# --- packed = unpacked


@pytest.mark.parametrize("count", [1, 2, 7])
def test_losses_are_those_of_the_rows_one_by_one(count, model):
    for seed in range(3):
        rows = examples(count, seed=seed)
        losses = packed.token_losses(model, packed.pack(rows, range(count)))
        torch.testing.assert_close(
            losses, torch.cat([alone(model, row) for row in rows]), rtol=1e-4, atol=1e-4
        )


def test_gradients_are_those_of_the_rows_one_by_one(model):
    rows = examples(5)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    together = torch.autograd.grad(packed.token_losses(model, packed.pack(rows, range(5))).sum(), weights)
    one_by_one = torch.autograd.grad(sum(alone(model, row).sum() for row in rows), weights)
    for a, b in zip(together, one_by_one, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(b.abs().max()))


def test_a_row_does_not_hear_what_stands_before_it(model):
    """Planted: other words in the first row may change nothing in the second."""
    one, other, last = *examples(2, seed=5), examples(1, seed=9)[0]
    size = len(one)
    other = Example({name: (values * size)[:size] for name, values in other.inputs.items()})
    heard = []
    for first in (one, other):
        found = packed.row_losses(model, packed.pack([first, last], [0, 1]))
        heard.append(found)
    assert heard[0][1]["loss"] == pytest.approx(heard[1][1]["loss"], rel=1e-5)
    assert heard[0][0]["loss"] != pytest.approx(heard[1][0]["loss"], rel=1e-2)


def worth(found: list[dict[str, float]]) -> dict[str, float]:
    """What the task's metrics make of its rows."""
    metrics = {name: registry.build("metric", {"name": name}) for name in ("loss", "perplexity")}
    return {name: judge.value(metric, metric.rows([], found, [])) for name, metric in metrics.items()}


def test_predictions_add_up_row_by_row(model):
    rows = examples(6, seed=3)
    found = packed.row_losses(model, packed.pack(rows, range(6)))
    for row, prediction in zip(rows, found, strict=True):
        truth = alone(model, row)
        assert prediction["tokens"] == len(truth) == row.trained
        assert prediction["loss"] == pytest.approx(float(truth.detach().double().sum()), rel=1e-4)
    whole = worth(found)
    mean = sum(p["loss"] for p in found) / sum(row.trained for row in rows)
    assert whole == {"loss": pytest.approx(mean), "perplexity": pytest.approx(math.exp(mean))}


def test_a_row_in_which_nothing_is_learnt_keeps_its_place(model):
    silent = Example({"input_ids": [1, 2, 3], "labels": [IGNORE] * 3}, trained=0)
    found = packed.row_losses(model, packed.pack([silent, *examples(1), silent], range(3)))
    assert [prediction["tokens"] > 0 for prediction in found] == [False, True, False]
    assert found[0]["loss"] == 0


def test_hopeless_losses_give_a_finite_perplexity():
    assert math.isfinite(worth([{"loss": 1e6, "tokens": 1}])["perplexity"])


# --- cut and split


TOKENS = st.lists(st.tuples(st.integers(0, 99), st.booleans()), min_size=1, max_size=40)
fuzzed = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def labelled(tokens) -> tuple[list[int], list[int]]:
    ids = [token for token, _ in tokens]
    return ids, [IGNORE, *(token if learnt else IGNORE for token, learnt in tokens[1:])]


@fuzzed
@given(TOKENS, st.integers(2, 45))
def test_a_cut_row_is_its_beginning_and_the_count_of_the_rest(tokens, limit):
    ids, labels = labelled(tokens)
    example = packed.cut(ids, labels, limit=limit)
    assert example.inputs == {"input_ids": ids[:limit], "labels": labels[:limit]}
    assert len(example) + example.tokens_lost == len(ids)
    assert example.trained + example.trained_lost == sum(label != IGNORE for label in labels)
    assert example.trained == sum(label != IGNORE for label in example.inputs["labels"])


@fuzzed
@given(TOKENS, st.integers(2, 45))
def test_windows_learn_every_token_once_after_what_stood_before_it(tokens, limit):
    ids, labels = labelled(tokens)
    windows = packed.windows(ids, labels, limit=limit)
    learnt = []
    for window in windows:
        assert len(window) <= limit
        assert window.tokens_lost == window.trained_lost == 0
        assert window.inputs["labels"][0] == IGNORE
        pairs = list(zip(window.inputs["input_ids"], window.inputs["labels"], strict=True))
        found = [
            (before, label)
            for (before, _), (_, label) in zip(pairs, pairs[1:], strict=False)
            if label != IGNORE
        ]
        assert window.trained == len(found) > 0
        learnt += found
    assert learnt == [(ids[i - 1], label) for i, label in enumerate(labels) if label != IGNORE]


@fuzzed
@given(st.lists(st.integers(0, 99), min_size=2, max_size=40), st.integers(2, 45))
def test_windows_of_a_text_put_together_are_the_text(ids, limit):
    windows = packed.windows(ids, [IGNORE, *ids[1:]], limit=limit)
    first, *others = [window.inputs["input_ids"] for window in windows]
    joined = list(first)
    for window in others:
        assert window[0] == joined[-1], "each opens with the last token of the one before"
        joined += window[1:]
    assert joined == ids
    assert len(windows) == max(1, math.ceil((len(ids) - 1) / (limit - 1)))
