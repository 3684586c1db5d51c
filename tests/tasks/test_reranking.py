"""How well passages suit a query: the losses and their gradients, rows joined and drawn, what is judged and what is asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.compared import queries
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Data
from weitiao.data import passages
from weitiao.data.candidates import drawn, joined
from weitiao.data.equal_text import normalised
from weitiao.data.overlong import advice, as_read
from weitiao.models import load

GRADED = [
    {
        "query": "the film",
        "passages": ["great plot", "dull plot", "the music was lovely"],
        "scores": [1.0, 0.0, 0.25],
    },
    {
        "query": "music",
        "passages": ["boring", "great great music", "a good ending"],
        "scores": [0.0, 1.0, 0.5],
    },
    {"query": "plot", "passages": ["dull", "good"], "scores": [0.0, 1.0]},
]


def ready(bert, made, **settings):
    rows = [Record("toy", i, row) for i, row in enumerate(made, start=1)]
    task = registry.build("task", {"name": "reranking", **settings}).learn(rows)
    loaded = load.load(bert, task)
    loaded.model.eval()
    examples = list(task.encode(rows, loaded.processor, limit=64))
    return task, loaded, loaded.collate(task)(examples, list(range(len(examples)))), examples


def outputs(loaded, row):
    """By nothing but Transformers, pair by pair."""
    said = [
        loaded.model(**loaded.processor(row["query"], text, return_tensors="pt")).logits[0, 0]
        for text in row["passages"]
    ]
    return torch.stack(said)


def by_hand(loaded, made, loss_type, pos_weight=1.0):
    """The formulas of the task's page, written out."""
    total = 0.0
    for row in made:
        z, s = outputs(loaded, row), torch.tensor(row["scores"], dtype=torch.float64)
        if loss_type == "bce":
            p = torch.sigmoid(z)
            total = total - (pos_weight * s * p.log() + (1 - s) * (1 - p).log()).sum()
        else:
            goal = s.exp() / s.exp().sum() if loss_type == "listnet" else s / s.sum()
            total = total - (goal * (z - z.exp().sum().log())).sum()
    return total


@pytest.mark.parametrize(
    "settings",
    [{}, {"pos_weight": 4.0}, {"loss_type": "listnet"}, {"loss_type": "softmax"}],
    ids=str,
)
def test_the_loss_and_its_gradient_are_those_of_the_definition(bert, settings):
    task, loaded, batch, _ = ready(bert, GRADED, **settings)
    loaded.model.double()
    loss = task.loss(loaded.model, batch)
    loss.backward()
    ours = {name: weight.grad.clone() for name, weight in loaded.model.named_parameters()}
    loaded.model.zero_grad()
    words = {"loss_type": "bce", **settings}
    expected = by_hand(loaded, GRADED, **words)
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    theirs = {name: weight.grad for name, weight in loaded.model.named_parameters()}
    size = torch.cat([gradient.flatten() for gradient in theirs.values()]).norm()
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).norm() <= 1e-5 * size, name
    assert batch.trained == (8 if words["loss_type"] == "bce" else 3)


def test_the_pairs_of_a_query_are_scored_as_each_alone(bert):
    """Whatever else is in the batch, in whichever pass it goes, and in their own order."""
    made = queries(30)  # more pairs than one pass holds
    task, loaded, batch, _ = ready(bert, made)
    assert len(batch.extra["parts"]) > 1
    with torch.no_grad():
        told = task.predict(loaded.model, batch)
        for row, one in zip(made, told, strict=True):
            alone = torch.sigmoid(outputs(loaded, row))
            np.testing.assert_allclose(one["scores_of"], alone, atol=1e-5)


def test_a_query_with_nothing_to_compare_teaches_a_list_loss_nothing(bert):
    made = [
        *GRADED,
        {"query": "good", "passages": ["great"], "scores": [1.0]},
        {"query": "bad", "passages": ["dull", "boring"], "scores": [0.0, 0.0]},
    ]
    for loss_type, trained in (
        ("bce", [3, 3, 2, 1, 2]),
        ("listnet", [1, 1, 1, 0, 1]),
        ("softmax", [1, 1, 1, 0, 0]),
    ):
        *_, examples = ready(bert, made, loss_type=loss_type)
        assert [example.trained for example in examples] == trained


@pytest.mark.parametrize(
    ("settings", "made", "says"),
    [
        (
            {},
            [{"query": "a", "passages": ["b", "c"], "scores": [3.0, 0.0]}],
            "score_no_probability.*toy line 1.*3",
        ),
        ({}, [{"query": "a", "passages": ["b", "c"], "scores": [0.0, 0.0]}], "no_right_passage"),
        ({"negatives": "none"}, [{"query": "a", "passages": ["b"], "scores": [1.0]}], "no_wrong_passage"),
    ],
    ids=str,
)
def test_rows_that_cannot_teach_are_refused_and_the_way_out_works(settings, made, says):
    rows = [Record("toy", i, row) for i, row in enumerate(made, start=1)]
    with pytest.raises(WeitiaoError, match=says):
        registry.build("task", {"name": "reranking", **settings}).learn(rows)
    out = {"loss_type": "listnet"} if "probability" in says else {"negatives": "random"}
    if "right" not in says:
        registry.build("task", {"name": "reranking", **settings, **out}).learn(rows)


# ------------------------------------------------------------------ rows of one query


def ranked(*rows):
    return [
        Record("toy", i, {"query": query, "passages": [*texts], "scores": [*scores]})
        for i, (query, texts, scores) in enumerate(rows, start=1)
    ]


def test_rows_of_one_query_become_one_and_the_highest_score_counts():
    rows = ranked(
        ("a", ["x"], [1]),
        ("b", ["z"], [1]),
        ("A", ["y", "X "], [0, 0]),
        ("a", ["y"], [0.5]),
        ("b", ["w"], [0]),
    )
    found = list(joined(rows, most=None))
    assert [place for place, _ in found] == [0, 1]
    assert dict(found[0][1].values) == {"query": "a", "passages": ["x", "y"], "scores": [1, 0.5]}
    assert dict(found[1][1].values) == {"query": "b", "passages": ["z", "w"], "scores": [1, 0]}


def test_a_long_list_goes_on_in_further_rows_each_with_a_right_passage():
    rows = ranked(("a", ["right"], [1]), *((("a", [f"wrong {i}"], [0])) for i in range(7)))
    found = list(joined(rows, most=3))
    assert [(record.line, list(record.values["passages"])) for _, record in found] == [
        (1, ["right", "wrong 0", "wrong 1"]),
        (4, ["right", "wrong 2", "wrong 3", "wrong 4"]),
        (7, ["right", "wrong 5", "wrong 6"]),
    ]
    assert len(list(joined(rows, most=None))) == 1


def test_what_is_shown_of_a_query_is_what_came_first_and_the_best_right_passage():
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores, gains = rng.permutation(6).astype(float), rng.choice([0, 0, 0, 1, 2], 6)
        order = sorted(range(6), key=lambda which: -scores[which])
        right = [which for which in order if gains[which] > 0]
        behind = [] if any(which in right for which in order[:3]) else right[:1]
        assert passages.ranked(scores, gains)["found"] == [[None, which] for which in order[:3] + behind]


@pytest.mark.parametrize("how", ["bm25", "random"])
def test_wrong_passages_are_drawn_from_the_other_rows_and_are_never_right(how):
    rows = ranked(
        *((f"query {i % 8} word{i}", [f"passage {i} word{i}", f"second {i}"], [1, 1]) for i in range(16)),
        ("query 0 word0", ["passage 9 word9"], [1]),
        ("query 3", ["one", "other"], [1, 0]),
    )
    found = list(drawn(list(joined(rows, most=None)), count=5, how=how, seed=0))
    pool = {text for row in rows for text in row.values["passages"]}
    right = {}
    for row in rows:
        known = {t for t, s in zip(row.values["passages"], row.values["scores"], strict=True) if s}
        right.setdefault(normalised(row.values["query"]), set()).update(known)
    assert len(found) == 17
    for _, record in found:
        wrong = [t for t, s in zip(record.values["passages"], record.values["scores"], strict=True) if not s]
        assert not {*wrong} & right[record.values["query"]]
        assert {*wrong} <= pool
        assert len({*wrong}) == len(wrong) == (1 if record.values["query"] == "query 3" else 5)
    again = list(drawn(list(joined(rows, most=None)), count=5, how=how, seed=0))
    other = list(drawn(list(joined(rows, most=None)), count=5, how=how, seed=1))
    assert again == found
    assert other != found  # what shares no word is drawn by chance either way


def test_the_wrong_passages_by_bm25_are_those_that_share_rare_words():
    rows = ranked(
        ("red fox", ["an animal"], [1]),
        ("x", ["the fox runs"], [1]),
        ("y", ["a fox, a red fox"], [1]),
        ("z", ["cars"], [1]),
        ("v", ["boats"], [1]),
    )
    (_, first), *_ = drawn(list(joined(rows, most=None)), count=2, how="bm25", seed=0)
    assert first.values["passages"] == ["an animal", "a fox, a red fox", "the fox runs"]
    (_, few), *_ = drawn(list(joined(rows, most=None)), count=99, how="bm25", seed=0)
    assert len(few.values["passages"]) == 5  # there are no more


def test_a_row_of_many_short_pairs_is_not_one_that_is_cut():
    """Together they are longer than the model reads; none of them is."""
    task = registry.build("task", {"name": "reranking"})
    assert advice(np.full(50, 900), task, Data(train=["x"]), limit=512, most=512) is None


LONG = [
    {
        "query": "the film",
        "passages": [
            "great plot",
            "dull the music was lovely and boring good great plot ending the film " * 2,
        ],
        "scores": [1.0, 0.0],
    },
    {"query": "music", "passages": ["boring " * 9 + "great music good " * 4 + "plot"], "scores": [1.0]},
]


def in_windows(loaded, row, text, *, limit, most):
    """Of the best window, by nothing but Transformers: consecutive parts of the passage beside the whole query, the last
    one as full as the others."""
    read = loaded.processor
    own, beside = (read(one, add_special_tokens=False)["input_ids"] for one in (text, row["query"]))
    pair = read(row["query"], text)["input_ids"]
    space = limit - (len(pair) - len(own))
    if len(pair) <= limit:
        return loaded.model(torch.tensor([pair])).logits[0, 0]
    own = own[: space * most]
    count = -(-len(own) // space)
    begins = [i * (len(own) - space) // max(1, count - 1) for i in range(count)]
    at = pair.index(beside[0]) + len(beside)
    before = pair[: at + pair[at:].index(own[0])]
    behind = pair[len(before) + len(read(text, add_special_tokens=False)["input_ids"]) :]
    said = [
        loaded.model(torch.tensor([[*before, *own[begin : begin + space], *behind]])).logits[0, 0]
        for begin in begins
    ]
    return torch.stack(said).max()


@pytest.mark.parametrize("most", [16, 2])
@pytest.mark.parametrize("loss_type", ["bce", "softmax"])
def test_a_passage_longer_than_the_model_reads_has_the_score_of_its_best_window(bert, loss_type, most):
    """Loss and scores as the definition has them; what is behind the last window is counted."""
    rows = [Record("toy", i, row) for i, row in enumerate(LONG, start=1)]
    task = registry.build("task", {"name": "reranking", "loss_type": loss_type}).learn(rows)
    loaded = load.load(bert, task)
    loaded.model.eval().double()
    data = Data(train=["x"], overlong="windows", max_windows=most)
    examples = [one for _, one in as_read(task, rows, loaded.processor, data, limit=12)]
    lost = 0
    for row in LONG:
        for text in row["passages"]:
            pair, own = (
                len(ids) for ids in (loaded.processor(row["query"], text)["input_ids"], text.split())
            )
            space = 12 - (pair - own)
            lost += max(0, own - space * most) if pair > 12 else 0
    assert sum(one.tokens_lost for one in examples) == lost
    assert (lost > 0) == (most == 2)
    batch = loaded.collate(task)(examples, [0, 1])
    assert batch.inputs["input_ids"].shape[1] <= 12
    expected = [
        [in_windows(loaded, row, text, limit=12, most=most) for text in row["passages"]] for row in LONG
    ]
    told = task.predict(loaded.model, batch)
    for row, scores in zip(told, expected, strict=True):
        assert row["scores_of"] == pytest.approx([z.sigmoid().item() for z in scores], abs=1e-6)
    hand = 0
    for row, zs in zip(LONG, expected, strict=True):
        z, s = torch.stack(zs), torch.tensor(row["scores"], dtype=torch.float64)
        p = z.sigmoid()
        bce = -(s * p.log() + (1 - s) * (1 - p).log()).sum()
        hand = hand + (bce if loss_type == "bce" else -(s / s.sum() * z.log_softmax(0)).sum())
    torch.testing.assert_close(task.loss(loaded.model, batch), hand, rtol=1e-6, atol=1e-6)
