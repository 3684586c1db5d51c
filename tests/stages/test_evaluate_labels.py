"""A run is judged by rows whose labels it does not know, or knows in another spelling."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from sklearn import metrics as sk

import weitiao as wt
from tests.conftest import many_labels, reviews, small_run, tagged, write_csv
from tests.stages import test_evaluate_data
from tests.stages.test_evaluate_data import read_json
from weitiao.cli import run as cli
from weitiao.core.files import read_lines
from weitiao.core.results import Results

trained, run = test_evaluate_data.trained, test_evaluate_data.run


@pytest.fixture
def strange(tmp_path) -> tuple[Path, list[dict]]:
    """Rows of which three carry a label that no training row had."""
    rows = reviews(24, seed=7)
    for place in (1, 4, 9):
        rows[place]["label"] = "mixed"
    return write_csv(tmp_path / "strange.csv", rows), rows


def test_a_label_that_the_model_does_not_know_is_wrong_and_said(run, strange, capsys):
    file, _ = strange
    assert cli(["evaluate", str(run.path), "--data", str(file)]) == 0
    told = capsys.readouterr()
    said = " ".join((told.out + told.err).split())
    assert (
        f'The model does not know the label "mixed" and is wrong wherever it stands (3): {file} line 3, 6, 11.'
        in said
    )
    assert "nan" not in said
    assert "given rows, on the model read back" in said
    assert "locked" not in said
    place = run.path / "evaluations/strange"
    results = read_json(place / "results.json")
    assert results["missing"] == []
    Results.model_validate_json(json.dumps(results), strict=True)
    (unknown,) = results["given"]["unknown"]
    assert (unknown["label"], unknown["rows"], len(unknown["places"])) == ("mixed", 3, 3)
    assert results["labels"] == ["bad", "good", "mixed"]
    assert sum(results["sections"]["confusion"]["values"][2]) == 3
    assert "mixed" in (place / "report.html").read_text(encoding="utf-8")
    # Every metric as another library has it, with the label among those that there are.
    lines = read_lines(place / "predictions.jsonl")
    true, said = [row["label"] for row in lines], [row["tuned"]["label"] for row in lines]
    shares = [[row["tuned"]["scores"].get(label, 0.0) for label in results["labels"]] for row in lines]
    marks = [[float(label == each) for label in results["labels"]] for each in true]
    wanted = {
        "accuracy": sk.accuracy_score(true, said),
        "f1": sk.f1_score(true, said, average="macro", zero_division=0),
        "f1_micro": sk.f1_score(true, said, average="micro"),
        "kappa": sk.cohen_kappa_score(true, said),
        "mcc": sk.matthews_corrcoef(true, said),
        "brier": sum(
            (p - y) ** 2 for a, b in zip(shares, marks, strict=True) for p, y in zip(a, b, strict=True)
        )
        / len(true),
        "roc_auc": sk.roc_auc_score(marks, shares, average="macro"),
    }
    found = results["metrics"]["tuned"]
    assert {name: found[name]["value"] for name in wanted} == pytest.approx(wanted, abs=1e-9)
    assert math.isfinite(found["log_loss"]["value"])
    assert found["f1_binary"]["value"] is None
    assert "positive" in found["f1_binary"]["why"]


def test_strictly_a_label_that_the_model_does_not_know_is_refused(run, strange, capsys):
    file, _ = strange
    assert cli(["evaluate", str(run.path), "--data", str(file), "--strict"]) == 3
    said = capsys.readouterr().err
    assert "3 of 24 rows cannot be used" in said
    assert f"{file} line 6" in said
    assert "mixed" in said
    assert not (run.path / "evaluations").exists()


@pytest.mark.whole
def test_unknown_labels_of_several_and_of_spans_are_wrong_and_said(trained, tmp_path):
    rows = many_labels(20, seed=3)
    rows[0]["labels"], rows[1]["labels"] = ["bad", "odd"], ["odd"]
    found = wt.evaluate(trained("multi_label_classification"), rows)
    assert [(one["label"], one["rows"]) for one in found.results["given"]["unknown"]] == [("odd", 2)]
    assert last_class(found) == ("odd", 0, 2)
    rows = tagged(20, seed=3)
    rows[2]["tags"][:2] = ["B-ODD", "I-ODD"]
    found = wt.evaluate(trained("token_classification"), rows)
    assert [(one["label"], one["rows"]) for one in found.results["given"]["unknown"]] == [("ODD", 1)]
    assert last_class(found) == ("ODD", 0, 1)


def last_class(run: wt.Run) -> tuple[str, float, int]:
    """Name, recall and number of the class that stands last on the page."""
    row = run.results["sections"]["per_class"]["rows"][-1]
    return row["name"], row["values"][1], row["values"][3]


@pytest.mark.whole
def test_a_label_in_another_spelling_is_the_one_that_the_model_knows(bert, tmp_path):
    rows = [{**row, "label": {"bad": "0", "good": "1"}[row["label"]]} for row in reviews(60)]
    recipe = small_run(
        bert,
        "text_classification",
        write_csv(tmp_path / "numbers.csv", rows),
        tmp_path / "run",
        batch=8,
        judge={},
    )
    run = wt.train(recipe(max_steps=1, eval_strategy="no", load_best_model_at_end=False))
    table = pd.DataFrame(reviews(12, seed=4))
    table["label"] = table["label"].map({"bad": 0.0, "good": 1.0})
    found = wt.evaluate(run, table)
    assert found.results["given"]["unknown"] == []
    assert {row["label"] for row in read_lines(found.place / "predictions.jsonl")} == {"0", "1"}
