"""Odd rows and settings of judging end with a code, or with a value that is stated as not defined: never nan, no traceback."""

from __future__ import annotations

import json

import pytest

import weitiao as wt
from tests.conftest import dialogues, reviews, small_run, tagged, write_csv, write_jsonl
from weitiao.cli import run as cli
from weitiao.core.errors import WeitiaoError
from weitiao.core.results import Results
from weitiao.tasks.parts.texts import OfTexts

QUICK = {"max_steps": 1, "eval_strategy": "no", "load_best_model_at_end": False}


@pytest.mark.whole
@pytest.mark.parametrize("kept", [["good"], ["good", "good", "good"]])
def test_a_test_split_of_one_row_or_one_class_has_values_or_reasons(kept, bert, tmp_path, capsys):
    rows = reviews(60)
    test = [row for row in reviews(40, seed=8) if row["label"] == "good"][: len(kept)]
    data = {"test": str(write_csv(tmp_path / "test.csv", test))}
    metrics = ["kappa", "mcc", "roc_auc", "pr_auc", "ece", "brier"]
    recipe = small_run(
        bert,
        "text_classification",
        write_csv(tmp_path / "rows.csv", rows),
        tmp_path / "run",
        batch=8,
        judge={"metrics": metrics},
    )
    run = wt.train(recipe(data=data, **QUICK))
    results = run.results
    Results.model_validate_json(json.dumps(results, allow_nan=False), strict=True)
    assert results["rows"] == len(kept)
    for system in results["metrics"].values():
        assert all(one["value"] is not None or one["why"] for one in system.values())
    tuned = results["metrics"]["tuned"]
    assert tuned["roc_auc"]["why"] == tuned["mcc"]["why"] == "only one class"
    if len(kept) == 1:
        assert results["verdict"]["learned"] is False
    assert cli(["evaluate", str(run.path)]) == 0
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize("key", ["confidence=1.0", "confidence=0", "resamples=0", "resamples=1"])
def test_settings_that_judge_nothing_are_refused(key, bert, tmp_path, capsys):
    file = write_csv(tmp_path / "rows.csv", reviews(60))
    words = [f"output_dir={tmp_path / 'run'}", f"evaluate.{key}"]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"model: {bert}\ntask: text_classification\ndata: {{train: {file}}}\noutput_dir: x\n")
    assert cli(["train", str(recipe), *words]) == 2
    said = capsys.readouterr().err
    assert key.partition("=")[0] in said
    assert "Traceback" not in said
    assert not (tmp_path / "run").exists()


def test_a_metric_that_does_not_suit_the_task_is_refused(bert, tmp_path, capsys):
    file = write_csv(tmp_path / "rows.csv", reviews(60))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: {bert}\ntask: text_classification\ndata: {{train: {file}}}\noutput_dir: {tmp_path / 'run'}\n"
    )
    for metric in ("mae", "bleu", "span_f1", "perplexity"):
        assert cli(["train", str(recipe), f"evaluate.metrics=[{metric}]"]) == 2
        said = capsys.readouterr().err
        assert f'"{metric}"' in said or metric in said
        assert "Traceback" not in said


@pytest.mark.whole
@pytest.mark.parametrize("task", ["sft", "token_classification"])
def test_rows_without_a_reference_are_counted_and_judge_nothing(task, llama, bert, tmp_path):
    made, base, odd = {
        "sft": (dialogues, llama, {"prompt": "the plot", "completion": ""}),
        "token_classification": (tagged, bert, {"tokens": [], "tags": []}),
    }[task]
    file = write_jsonl(tmp_path / "rows.jsonl", made(60))
    judge = {"max_new_tokens": 2, "samples": 1}
    run = wt.train(small_run(base, task, file, tmp_path / "run", batch=8, judge=judge)(**QUICK))
    found = wt.evaluate(run, write_jsonl(tmp_path / "new.jsonl", [*made(20, seed=6)[:8], odd]))
    given = found.results["given"]
    assert given["total"] == 9
    assert given["counts"]["quarantined"] == 1
    with pytest.raises(WeitiaoError) as error:
        wt.evaluate(run, write_jsonl(tmp_path / "odd.jsonl", [odd]))
    assert error.value.code == "bad_rows"


@pytest.mark.whole
def test_a_pass_of_judging_goes_by_the_length_that_rows_are_read_in(bert, tmp_path, monkeypatch):
    """Not by the positions of the model: rows in windows of 8 tokens would be read eight times as many at once."""
    sizes = []
    file = write_csv(tmp_path / "rows.csv", reviews(60))
    recipe = small_run(bert, "text_classification", file, tmp_path / "run", batch=8, judge={"untuned": False})
    data = {"max_length": 8, "overlong": "windows"}
    run = wt.train(recipe(data=data, per_device_eval_batch_size=4, **QUICK))
    collate = OfTexts.collate

    def weighed(self, examples, rows, processor):
        batch = collate(self, examples, rows, processor)
        sizes.append((batch.tokens, len(rows)))
        return batch

    monkeypatch.setattr(OfTexts, "collate", weighed)
    wt.evaluate(run.path)
    asked = run.results["rows"] + len(run.folder.json("data/split.json")["validation"])
    assert sum(rows for _, rows in sizes) == asked
    assert max(tokens for tokens, rows in sizes if rows > 1) <= 4 * 8
