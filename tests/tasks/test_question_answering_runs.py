"""Questions are learnt, judged, asked and explained, the whole way from files as SQuAD writes them."""

from __future__ import annotations

import io
import json
import shlex

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import weitiao as wt
from tests.conftest import asked, small_run
from tests.tasks.test_question_answering import task
from weitiao import api
from weitiao.cli import run as command
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.models.store import read_card

pytestmark = pytest.mark.whole  # a training each


def nested(records, path):
    """As a user brings them: SQuAD v2, a paragraph a context."""
    data = [
        {
            "title": f"t{number}",
            "paragraphs": [
                {
                    "context": row["context"],
                    "qas": [
                        {
                            "id": str(number),
                            "question": row["question"],
                            "is_impossible": not row["answers"],
                            "answers": [
                                {"text": a["text"], "answer_start": a["start"]} for a in row["answers"]
                            ],
                        }
                    ],
                }
            ],
        }
        for number, row in enumerate(records)
    ]
    path.write_text(json.dumps({"version": "v2.0", "data": data}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("qa")
    file = nested(asked(200), folder / "train.json")
    own = {"name": "question_answering", "n_best_size": 2}
    recipe = small_run(bert, own, file, folder / "run", batch=16, judge={})
    return wt.train(recipe(num_train_epochs=3, learning_rate=1e-2, save_strategy="no"))


def test_a_file_of_squad_is_learnt_judged_and_its_threshold_is_of_the_validation_rows(run):
    results, card = run.results, read_card(run.folder.model)["task"]
    assert results["primary"] == "squad_f1"
    assert {*results["metrics"]} == {"tuned", "untuned", "nearby_words", "whole_context"}
    assert card["no_answer"] is True
    told = read_lines(run.path / "predictions-validation.jsonl")
    from weitiao.data.answer_words import f1

    def worth(least):
        return sum(
            f1(
                "" if one["null_score"] - one["score"] > least else one["n_best"][0]["answer"],
                line["answers"],
            )
            for line in told
            for one in [line["tuned"]]
        )

    assert worth(card["null_score_diff_threshold"]) >= max(map(worth, np.linspace(-20, 20, 400))) - 1e-9


def test_questions_are_asked_as_rows_and_files_and_a_text_alone_is_refused(
    run, tmp_path, capsys, monkeypatch
):
    row = asked(1, seed=9)[0]
    (told,) = run.predict({"question": row["question"], "context": row["context"]})
    assert told["answer"] == row["context"][slice(told["start"], told["end"])] or told["start"] is None
    assert {"score", "null_score"} <= {*told}
    assert len(told["n_best"]) == 2
    assert "n_best" not in task().shown(Record("", 1, row), told)
    file = nested(asked(6, seed=9), tmp_path / "new.json")
    assert len(run.predict(file)) == 6
    with pytest.raises(WeitiaoError, match="(?s)texts_alone.*question, context"):
        run.predict("a text alone")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(row).encode())))
    assert command(["predict", str(run.path)]) == 0
    assert capsys.readouterr().out.strip() == (told["answer"] or "-")
    pasted = shlex.split(run.results["usage"][0]["code"])
    assert json.loads(pasted[-1]) == {"question": "...", "context": "..."}
    assert run.predict(api.example_text(run))
    output = tmp_path / "out.jsonl"
    assert command(["predict", str(run.path), "--file", str(file), "--output", str(output)]) == 0
    capsys.readouterr()
    assert [line["predicted_answer"] for line in read_lines(output)] == [
        one["answer"] for one in run.predict(file)
    ]


def test_an_answer_hangs_on_words_of_question_and_context(run):
    pytest.importorskip("captum")
    row = next(row for row in asked(40, seed=3) if row["answers"])
    (found,) = run.explain(row, asked=[row["answers"][0]["text"]])
    (target,) = found.targets
    assert {word.column for word in target.words} == {"question", "context"}
    assert target.name == row["answers"][0]["text"]
    # Independently: the log-probability of both tokens, in one pass of the model.
    loaded, own = run.tuned, run.task
    ((_, example),) = run.read([Record("", 1, row)])
    with torch.no_grad():
        said = loaded.model(input_ids=torch.tensor([example.inputs["input_ids"]]))
    first, last = example.inputs["gold"]
    value = F.log_softmax(said.start_logits[0], -1)[first] + F.log_softmax(said.end_logits[0], -1)[last]
    assert target.value == pytest.approx(value.item(), abs=1e-3)
    with pytest.raises(WeitiaoError, match="no_such_target"):
        run.explain(row, asked=["nowhere"])
    assert own.explains(Record("", 1, row), {"start": None, "answer": "", "n_best": []})[0].of is None
