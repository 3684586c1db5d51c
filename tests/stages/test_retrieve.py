"""Passages are found by their vectors: those of a file, of a list, or the run's own."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import weitiao as wt
from tests.conftest import paired, reviews, write_csv, write_jsonl
from weitiao.cli import run as weitiao
from weitiao.core.errors import WeitiaoError


@pytest.fixture(scope="module")
def run(bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("retrieve")
    file = write_jsonl(folder / "rows.jsonl", paired(40))
    return wt.train(
        model=bert,
        task={"name": "embedding", "query_prefix": "the ", "passage_prefix": "very "},
        data={"train": str(file), "cache": False},
        method="full",
        train={"max_steps": 2, "bf16": False},
        evaluate={"untuned": False},
        output_dir=str(folder / "run"),
    )


def by_hand(run, question, passages):
    """Cosines by nothing but Transformers."""

    def vector(text):
        inputs = run.tuned.processor(text, return_tensors="pt")
        return F.normalize(run.tuned.model(**inputs).last_hidden_state[0].mean(0), dim=0)

    with torch.no_grad():
        asked = vector(f"the {question}")
        return [(asked @ vector(f"very {text}")).item() for text in passages]


def test_the_nearest_come_first_with_their_rows(run, tmp_path):
    made = [{"id": i, "answer": row["positive"]} for i, row in enumerate(paired(12, seed=5))]
    file = write_csv(tmp_path / "faq.csv", made)
    (found,) = wt.retrieve(run, "great plot", file, k=4)
    scores = by_hand(run, "great plot", [row["answer"] for row in made])
    order = np.argsort(-np.array(scores), kind="stable")[:4]
    assert [one.row["id"] for one in found] == [str(place) for place in order]
    assert [one.score for one in found] == pytest.approx([scores[place] for place in order], abs=1e-5)
    assert (
        wt.retrieve(run, "great plot", [row["answer"] for row in made], k=4)[0][0].passage == found[0].passage
    )


def test_a_passage_that_several_rows_have_is_found_once(run, tmp_path):
    """An answer to several questions leaves room for other answers."""
    made = [{"id": i, "answer": row["positive"]} for i, row in enumerate(paired(6, seed=5)) for _ in range(3)]
    (found,) = wt.retrieve(run, "great plot", write_csv(tmp_path / "faq.csv", made), k=4)
    texts = {row["answer"] for row in made}
    scores = dict(zip(texts, by_hand(run, "great plot", texts), strict=True))
    assert [one.passage for one in found] == sorted(texts, key=lambda text: -scores[text])[:4]


def test_without_a_table_the_runs_own_passages_are_searched(run, capsys):
    (found,) = wt.retrieve(run, ["great plot"], k=100)
    assert wt.retrieve(str(run.path), ["great plot"], k=100) == [found], "a run, or its folder"
    assert {one.passage for one in found} == {row["positive"] for row in paired(40)}
    assert weitiao(["retrieve", str(run.path), "great plot", "-k", "2", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert [one["passage"] for one in told["found"]] == [one.passage for one in found[:2]]


def test_what_cannot_be_searched_is_said(run, bert, tmp_path):
    with pytest.raises(WeitiaoError, match="no_passage_column.*body(?s:.*)--column "):
        wt.retrieve(run, "great", [{"id": "1", "body": "x"}])
    assert wt.retrieve(run, "great", [{"id": "1", "body": "x"}], column="body")[0][0].passage == "x"
    with pytest.raises(WeitiaoError, match="bad_given"):
        wt.retrieve(run, ["great", " "], ["film"])
    with pytest.raises(WeitiaoError, match="no passage that says something"):
        wt.retrieve(run, "great", [" "])


def test_a_run_without_vectors_cannot_retrieve(bert, tmp_path):
    other = wt.train(
        model=bert,
        task="text_classification",
        data={"train": str(write_csv(tmp_path / "r.csv", reviews(40))), "cache": False},
        method="head",
        train={"max_steps": 1},
        evaluate={"untuned": False, "baseline": "none"},
        output_dir=str(tmp_path / "other"),
    )
    with pytest.raises(WeitiaoError, match="no_retrieval"):
        wt.retrieve(other, "great")


def test_how_a_run_is_used_begins_with_a_retrieval(run, capsys):
    """What stands on its page, as it is typed."""
    typed, python = (way["code"] for way in run.results["usage"][:2])
    words = shlex.split(typed.splitlines()[0])
    assert words[:2] == ["weitiao", "retrieve"]
    assert weitiao(words[1:]) == 0
    assert capsys.readouterr().out
    exec(python, {})  # as a reader would paste it
    assert capsys.readouterr().out
