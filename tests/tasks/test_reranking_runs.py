"""Reranking the whole way: learnt, judged by query, asked, explained, and beside sentence-transformers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import weitiao as wt
from tests.compared import queries
from tests.conftest import write_csv, write_jsonl
from tests.tasks.test_reranking import GRADED, in_windows, outputs
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError

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


@pytest.mark.whole
def test_passages_in_windows_are_learnt_judged_and_asked_by_their_best_window(bert, tmp_path):
    """The whole way with a limit that few of the pairs keep."""
    made = [
        {"query": row["query"], "passages": row["passages"], "labels": row["scores"]} for row in queries(60)
    ]
    run = wt.train(
        model=bert,
        task={"name": "reranking", "negatives": "none"},
        data={
            "train": str(write_jsonl(tmp_path / "rows.jsonl", made)),
            "cache": False,
            "max_length": 9,
            "overlong": "windows",
            "max_windows": 3,
        },
        method="full",
        train={"max_steps": 3, "per_device_train_batch_size": 8, "bf16": False},
        evaluate={"untuned": False},
        output_dir=str(tmp_path / "run"),
    )
    ledger = run.folder.json("data/ledger.json")["tokens"]
    read = run.tuned.processor
    long = [
        any(len(read(row["query"], text)["input_ids"]) > 9 for text in row["passages"]) for row in queries(60)
    ]
    assert ledger["windowed_rows"] == sum(long) > 10
    lines = [json.loads(line) for line in (run.path / "predictions.jsonl").read_text().splitlines()]
    with torch.no_grad():
        for line in lines:
            hand = [
                in_windows(run.tuned, line, text, limit=9, most=3).sigmoid().item()
                for text in line["passages"]
            ]
            assert line["tuned"]["scores_of"] == pytest.approx(hand, abs=1e-5)
        (said,) = run.predict([{"query": lines[0]["query"], "passages": lines[0]["passages"]}])
    assert {one["passage"]: one["score"] for one in said["ranking"]} == pytest.approx(
        dict(zip(lines[0]["passages"], lines[0]["tuned"]["scores_of"], strict=True)), abs=1e-5
    )
    assert run.explain({"query": lines[0]["query"], "passages": [max(lines[0]["passages"], key=len)]})


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
