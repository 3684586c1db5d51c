"""Pairs are learnt, judged, asked, explained and looked at, the whole way."""

from __future__ import annotations

import json

import pytest
import torch

import weitiao as wt
from tests.conftest import write_jsonl
from tests.tasks import test_seq2seq
from tests.tasks.test_seq2seq import opened, pairs
from weitiao import api
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Data
from weitiao.data.view import view

folders = test_seq2seq.folders


def recipe(folder, file, output, **words):
    train = {
        "num_train_epochs": 1,
        "per_device_train_batch_size": 8,
        "bf16": False,
        "early_stopping_patience": None,
        **words.pop("train", {}),
    }
    return {
        "model": folder,
        "task": {"name": "seq2seq", **words.pop("task", {})},
        "method": words.pop("method", "full"),
        "data": {"train": str(file), **words.pop("data", {})},
        "evaluate": {"max_new_tokens": 6, "resamples": 100, "answers": None, **words.pop("evaluate", {})},
        "train": train,
        "output_dir": str(output),
        **words,
    }


HALVES = {"source": "translation.en", "target": "translation.zh"}


@pytest.mark.whole
def test_a_run_over_pairs_by_language_is_judged_by_its_answers_and_asked_by_source(folders, tmp_path):
    rows = [{"translation": {"en": row["source"], "zh": row["target"]}} for row in pairs(60)]
    rows += [{"translation": {"en": "great film", "zh": " "}}, {"translation": {"en": "great film"}}]
    file = write_jsonl(tmp_path / "pairs.jsonl", rows)
    asked = recipe(
        folders("t5"),
        file,
        tmp_path / "run",
        data={"columns": HALVES, "max_dropped_fraction": 0.1},
        task={"max_target_length": 5},
    )
    said = []
    run = api.train(asked, tell=lambda name, **facts: said.append((name, facts)))
    results = run.results
    ledger = json.loads((tmp_path / "run" / "data" / "ledger.json").read_text())
    bad = [row for row in ledger["rows"] if row["status"] == "quarantined"]
    assert [row["line"] for row in bad] == [61, 62]
    assert all("target" in row["reason"] for row in bad)
    cut = [row for row in ledger["rows"] if row["status"] == "truncated"]
    long = sum(len(row["target"].split()) > 3 for row in pairs(60))
    assert len(cut) == long == ledger["tokens"]["written"]["truncated_rows"]
    assert ledger["tokens"]["written"]["max"] == 7
    notices = [facts["text"] for name, facts in said if name == "notice"]
    assert any("task.max_target_length" in text for text in notices)
    assert results["primary"] == "chrf"
    # A model of random weights, one epoch: it knows no better than any of its words.
    taught = next(one["numbers"] for one in results["findings"] if one["name"] == "never_taught")
    before = results["metrics"]["untuned"]["perplexity"]["value"]
    assert taught["perplexity"] == pytest.approx(before)
    assert before >= taught["words"]
    assert taught["words"] == len(run.tuned.processor)
    assert {*results["metrics"]} == {"tuned", "untuned", "nearest", "copy_source"}
    lines = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert all("answer" in line[system] for line in lines for system in results["metrics"])
    assert all(line["copy_source"]["answer"] == line["prompt"] for line in lines)
    again = api.load(tmp_path / "run")
    alone = again.predict([line["prompt"] for line in lines], max_new_tokens=6)
    assert [one["answer"] for one in alone] == [line["tuned"]["answer"] for line in lines]
    rows = [{"translation": {"en": line["prompt"]}} for line in lines]
    assert again.predict(rows, max_new_tokens=6) == alone
    table = tmp_path / "new.tsv"
    table.write_text("source\n" + "".join(line["prompt"] + "\n" for line in lines), encoding="utf-8")
    assert again.predict(table, max_new_tokens=6) == alone
    assert not any("answer" in notice for notice in results["missing"])


def test_targets_beyond_their_limit_stop_a_run_that_wants_none(folders, tmp_path):
    file = write_jsonl(tmp_path / "pairs.jsonl", pairs(40))
    asked = recipe(
        folders("t5"),
        file,
        tmp_path / "run",
        data={"overlong": "fail"},
        task={"max_target_length": 4},
    )
    with pytest.raises(WeitiaoError, match="overlong_rows.*4 tokens"):
        api.train(asked)


@pytest.mark.whole
@pytest.mark.parametrize("method", ["adalora", "lora", "prefix", "prompt"])
def test_methods_learn_on_two_encoders_whose_pooler_nobody_asks(folders, tmp_path, method):
    file = write_jsonl(tmp_path / "pairs.jsonl", pairs(40))
    asked = recipe(folders("bert2bert"), file, tmp_path / "run", method=method)
    run = api.train(asked, tell=lambda name, **facts: None)
    assert run.results["metrics"]["tuned"]["loss"]["value"] > 0
    assert run.results["missing"] == []


@pytest.mark.whole
def test_an_answer_is_explained_by_the_words_of_its_source(folders, tmp_path):
    file = write_jsonl(tmp_path / "pairs.jsonl", pairs(40))
    run = api.train(recipe(folders("bart"), file, tmp_path / "run"), tell=lambda name, **facts: None)
    text = "dull film and great plot"
    (found,) = run.explain(text, max_new_tokens=6)
    (target,) = found.targets
    assert target.name == found.prediction["answer"]
    assert [word.text for word in target.words] == text.split()
    row = [Record("t", 1, {"source": text, "target": target.name})]
    (example,) = run.task.encode(row, run.tuned.processor, limit=64)
    with torch.no_grad():
        (said,) = run.task.predict(run.tuned.model, run.tuned.collate(run.task)([example], [0]))
    assert target.value == pytest.approx(-said["loss"], rel=1e-4)


def test_both_sides_of_a_row_are_shown_and_only_what_is_written_is_trained(folders):
    task, loaded = opened(folders("t5"))
    row = Record("t.csv", 2, {"source": "dull film", "target": "great plot"})
    shown = view(row, task, loaded.processor, Data(), limit=64)
    said = [(piece.text.strip(), piece.state) for piece in shown.pieces]
    read, written = ("<s>", "dull", "film", "</s>"), ("<s>", "great", "plot", "</s>")
    assert said == [(word, "seen") for word in read] + [(word, "trained") for word in written]
    assert (shown.tokens, shown.trained) == (8, 4)


def test_the_check_finds_targets_that_fill_their_limit(folders, tmp_path):
    rows = [*pairs(20), {"source": "dull film", "target": "great plot " * 40}]
    file = write_jsonl(tmp_path / "pairs.jsonl", rows)
    told = wt.check(str(file), model=folders("t5"))
    (found,) = [one for one in told.diagnosis.findings if one.code == "long_targets"]
    # The toy has 64 positions: 80 words and two marks are 18 too many.
    assert (found.count, found.places) == (1, [f"{file} line 21"])
    assert "18 tokens" in found.text
