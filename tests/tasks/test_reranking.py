"""How well passages suit a query: the losses and their gradients, rows joined and drawn, what is judged and what is asked."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import weitiao as wt
from tests.conftest import queries, write_csv, write_jsonl
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data.candidates import drawn, joined
from weitiao.data.equal_text import normalised
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


# ------------------------------------------------------------------ a run


@pytest.fixture(scope="module")
def run(bert, tmp_path_factory):
    """From rows of one passage each, as logs of searches have them."""
    folder = tmp_path_factory.mktemp("reranking")
    made = [
        {"query": row["query"], "passage": text, "label": int(score)}
        for row in queries(100)
        for text, score in zip(row["passages"], row["scores"], strict=True)
    ]
    file = write_jsonl(folder / "rows.jsonl", made)
    train = {"num_train_epochs": 2, "learning_rate": 2e-3, "save_strategy": "no", "eval_strategy": "no"}
    words = {
        "load_best_model_at_end": False,
        "per_device_train_batch_size": 8,
        "early_stopping_patience": None,
        "bf16": False,
    }
    return wt.train(
        model=bert,
        task="reranking",
        data={"train": str(file), "cache": False},
        method="full",
        train=train | words,
        output_dir=str(folder / "run"),
    )


def test_it_learns_and_is_judged_by_query_beside_the_untuned_model_and_a_search_by_words(run):
    found = run.results
    assert set(found["metrics"]) == {"tuned", "untuned", "bm25"}
    assert not found["missing"]
    split = run.folder.json("data/split.json")
    assert found["rows"] == len(split["test"]) == 15
    assert sum(map(len, split.values())) == 100  # queries; the ledger counts rows
    assert run.folder.json("data/ledger.json")["counts"]["kept"] > 200
    tuned, untuned = (found["metrics"][name]["ndcg_at_10"] for name in ("tuned", "untuned"))
    assert tuned["value"] > untuned["value"] + 0.1


def test_what_is_judged_is_what_a_ranking_by_hand_gives(run):
    """nDCG, MRR and MAP of the kept test rows, from scikit-learn and plain Transformers."""
    from sklearn.metrics import average_precision_score, ndcg_score

    lines = [json.loads(line) for line in (run.path / "predictions.jsonl").read_text().splitlines()]
    found = {"ndcg_at_10": [], "mrr_at_10": [], "map": []}
    with torch.no_grad():
        for line in lines:
            scores = outputs(run.tuned, line).numpy()
            right = np.array(line["scores"])
            found["ndcg_at_10"].append(ndcg_score([right], [scores], k=10))
            found["map"].append(average_precision_score(right, scores))
            order = np.argsort(-scores)
            found["mrr_at_10"].append(1 / (1 + int(np.flatnonzero(right[order])[0])))
    for name, each in found.items():
        assert run.results["metrics"]["tuned"][name]["value"] == pytest.approx(np.mean(each), abs=1e-6), name


def test_passages_come_back_ranked_however_they_are_given(run, tmp_path):
    row = {"query": "the film", "passages": ["dull plot", "a great lovely film", "boring"]}
    (told,) = run.predict([row])
    scores = torch.sigmoid(outputs(run.tuned, row)).tolist()
    order = sorted(range(3), key=lambda place: -scores[place])
    assert [one["passage"] for one in told["ranking"]] == [row["passages"][place] for place in order]
    assert [one["score"] for one in told["ranking"]] == pytest.approx(sorted(scores, reverse=True), abs=1e-5)
    assert (told["passage"], told["score"]) == tuple(told["ranking"][0].values())
    table = write_csv(
        tmp_path / "pairs.csv", [{"query": "the film", "passage": text} for text in row["passages"]]
    )
    apart = run.predict(str(table))
    assert [one["score"] for one in apart] == pytest.approx(scores, abs=1e-5)
    spelt = write_csv(
        tmp_path / "lists.csv", [{"query": "the film", "passages": json.dumps(row["passages"])}]
    )
    assert run.predict(str(spelt)) == [told]
    assert run.predict([json.dumps(row)]) == [told]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("the film", "texts_alone.*query, passages"),
        ({"query": "the film"}, "no_asked_column.*passages"),
        ({"query": "the film", "passages": []}, "passages is empty"),
        ({"query": " ", "passages": ["a"]}, "query is empty"),
        ({"query": "a", "passages": ["b", None]}, r"passages\[2\] is missing"),
    ],
    ids=str,
)
def test_what_cannot_be_ranked_is_told(run, row, says):
    with pytest.raises(WeitiaoError, match=says):
        run.predict([row])


def test_a_pair_is_explained_and_a_list_refused_by_name(run):
    pair = Record("", 1, {"query": "a", "passages": "b", "scores": None})
    assert [target.what for target in run.task.explains(pair, {})] == ["logit"]
    batch = run.task.collate(
        list(run.task.encode([pair], run.tuned.processor, limit=64)), [0], run.tuned.processor
    )
    score = run.task.target_scores(run.tuned.model, batch, run.task.explains(pair, {})[0])
    torch.testing.assert_close(score, outputs(run.tuned, {"query": "a", "passages": ["b"]}))
    with pytest.raises(WeitiaoError, match="ranking_unexplained.*2 passages"):
        run.task.explains(Record("", 1, {"query": "a", "passages": ["b", "c"]}), {})


def test_new_rows_of_one_query_are_judged_together(run, tmp_path):
    made = [
        {"query": f"{row['query']} again", "passage": text, "label": int(score)}
        for row in queries(9, seed=5)
        for text, score in zip(row["passages"], row["scores"], strict=True)
    ]
    wrong = [{"query": "nothing here", "passage": "dull", "label": 0}]
    judged = wt.evaluate(run, str(write_jsonl(tmp_path / "new.jsonl", made + wrong)))
    assert judged.results["rows"] == 10
    lines = [json.loads(line) for line in (judged.place / "predictions.jsonl").read_text().splitlines()]
    assert {len(line["passages"]) for line in lines} <= {1, 2, 3, 4}
    found = judged.results["metrics"]["tuned"]["mrr_at_10"]["value"]
    each = [1 / min(line["tuned"]["ranks"]) for line in lines if line["tuned"]["ranks"]]
    assert len(each) == 9  # a query without a right passage counts for nothing
    assert found == pytest.approx(np.mean(each))


def test_queries_without_a_right_passage_are_counted_and_located(tmp_path):
    made = [{"query": f"q{i}", "passage": "a", "label": int(i > 1)} for i in range(8)]
    made += [{"query": "q1", "passage": "b", "label": 1}, {"query": "q2", "passage": "b", "label": 0}]
    checked = wt.check(str(write_jsonl(tmp_path / "rows.jsonl", made)), task="reranking")
    found = checked.diagnosis.findings
    (told,) = [one for one in found if one.code == "no_right_passage"]
    assert (told.count, [place.rpartition(" ")[2] for place in told.places]) == (1, ["1"])
    (alone,) = [one for one in found if one.code == "right_passages_alone"]
    assert alone.count == 5


def test_a_pair_that_is_right_and_wrong_is_told_and_the_others_stay(tmp_path):
    made = [
        {"query": "a", "passage": "b", "label": 1},
        {"query": "A", "passage": "b ", "label": 0},
        {"query": "a", "passage": "c", "label": 0},
        {"query": "d", "passage": "", "label": 1},
        {"query": "d", "passage": "e", "label": "good"},
    ]
    ledger = wt.check(str(write_jsonl(tmp_path / "rows.jsonl", made)), task="reranking").ledger
    assert [entry["line"] for entry in ledger.lost()] == [1, 2, 4, 5]


# ------------------------------------------------------------------ sentence-transformers


def test_sentence_transformers_opens_it_and_says_the_same(run):
    library = pytest.importorskip("sentence_transformers", reason="a peer: pip install sentence-transformers")
    theirs = library.CrossEncoder(str(run.folder.model), device="cpu")
    row = {
        "query": "great plot",
        "passages": ["film was boring and quite dull", "music", "a lovely plot " * 60],
    }
    ours = {one["passage"]: one["score"] for one in run.predict([row])[0]["ranking"]}
    said = theirs.predict([(row["query"], text) for text in row["passages"]])
    np.testing.assert_allclose(said, [ours[text] for text in row["passages"]], atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [({"pos_weight": 3.0}, "BinaryCrossEntropyLoss"), ({"loss_type": "listnet"}, "ListNetLoss")],
)
def test_the_loss_is_that_of_sentence_transformers(run, settings, kind):
    library = pytest.importorskip("sentence_transformers", reason="a peer: pip install sentence-transformers")
    losses = pytest.importorskip("sentence_transformers.cross_encoder.losses")
    theirs = library.CrossEncoder(str(run.folder.model), device="cpu").eval()
    rows = [Record("toy", i, row) for i, row in enumerate(GRADED, start=1)]
    task = registry.build("task", {"name": "reranking", **settings})
    batch = task.collate(
        list(task.encode(rows, run.tuned.processor, limit=64)), [0, 1, 2], run.tuned.processor
    )
    if kind == "ListNetLoss":
        words = [[row["query"] for row in GRADED], [row["passages"] for row in GRADED]]
        goal = [torch.tensor(row["scores"]) for row in GRADED]
        loss = losses.ListNetLoss(theirs)
    else:
        words = [
            [row["query"] for row in GRADED for _ in row["passages"]],
            [t for row in GRADED for t in row["passages"]],
        ]
        goal = torch.tensor([score for row in GRADED for score in row["scores"]])
        loss = losses.BinaryCrossEntropyLoss(theirs, pos_weight=torch.tensor(3.0))
    with torch.no_grad():
        ours = task.loss(run.tuned.model, batch) / batch.trained
        torch.testing.assert_close(ours, loss(words, goal), rtol=1e-5, atol=1e-5)
