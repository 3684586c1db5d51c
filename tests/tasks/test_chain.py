"""The whole way of every task through the doors that people use: plan, train, predict its own file, stress, merge."""

from __future__ import annotations

import pytest

import weitiao as wt
from tests.compared import alike
from tests.conftest import (
    asked,
    dialogues,
    many_labels,
    paired,
    rated,
    reviews,
    small_run,
    tagged,
    write_jsonl,
)
from weitiao.cli import run as weitiao
from weitiao.core.files import read_lines

ROWS = 40


def renamed(rows, **names):
    """The same columns called otherwise; those that are not named are left out."""
    return [{theirs: row[ours] for ours, theirs in names.items()} for row in rows]


CASES = {
    ("text_classification", "bert"): reviews(ROWS),
    ("multi_label_classification", "bert"): many_labels(ROWS),
    ("text_regression", "bert"): rated(ROWS),
    ("token_classification", "bert"): tagged(ROWS),
    ("question_answering", "bert"): [
        {**row, "answers": [{"text": a["text"], "answer_start": a["start"]} for a in row["answers"]]}
        for row in asked(ROWS)
    ],
    ("embedding", "bert"): paired(ROWS),
    ("embedding", "bert", "query_passage"): renamed(paired(ROWS), anchor="query", positive="passage"),
    ("embedding", "bert", "question_answer"): renamed(paired(ROWS), anchor="question", positive="answer"),
    ("similarity", "bert"): alike(ROWS),
    ("seq2seq", "t5"): renamed(dialogues(ROWS), prompt="source", completion="target"),
    ("sft", "llama"): dialogues(ROWS),
    ("language_modeling", "llama"): renamed(reviews(ROWS), text="text"),
}


@pytest.fixture(autouse=True)
def dictionary(tmp_path, monkeypatch):
    """A thesaurus of two words, so that none is fetched."""
    file = tmp_path / "words.tsv"
    file.write_text("film\tmovie\nplot\tstory\n", encoding="utf-8")
    monkeypatch.setattr("weitiao.models.assets.catalog.dictionary_path", lambda name: file)


@pytest.mark.whole
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_run_is_planned_trained_asked_its_own_file_stressed_and_merged(case, request, tmp_path, capsys):
    task, model, *_ = case
    rows = write_jsonl(tmp_path / "rows.jsonl", CASES[case])
    judge = {"baseline": "none", "untuned": False, "answers": 2, "samples": 1, "max_new_tokens": 3}
    recipe = small_run(request.getfixturevalue(model), task, rows, tmp_path / "run", batch=8, judge=judge)
    asked_for = recipe(method="lora", max_steps=2, eval_strategy="no", load_best_model_at_end=False)
    wt.plan(asked_for)
    run = wt.train(asked_for)
    file = ["--file", str(rows), "--max-new-tokens", "3"]
    assert weitiao(["predict", str(run.path), *file]) == 0
    assert len(capsys.readouterr().out.splitlines()) == ROWS
    assert weitiao(["predict", str(run.path), *file, "--output", str(tmp_path / "out.jsonl")]) == 0
    assert len(read_lines(tmp_path / "out.jsonl")) == ROWS
    assert run.stress().results["missing"] == []
    run.merge(tmp_path / "merged")
    assert (tmp_path / "merged" / "config.json").is_file()
