"""`evaluate.metrics` through the door: names of the shelf, functions of one's own, and what is refused before training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import weitiao as wt
from tests.conftest import reviews, write_csv
from weitiao.cli import run as cli
from weitiao.core.errors import WeitiaoError
from weitiao.evaluate.judge import value
from weitiao.evaluate.own import opened

OWN = """
import weitiao

@weitiao.metric(needs=["label"])
def right(references, predictions):
    return sum(a["label"] == b["label"] for a, b in zip(references, predictions, strict=True)) / len(references)

@weitiao.metric(rows=True, higher_is_better=False, needs=["scores"])
def doubt(references, predictions):
    return [1 - max(row["scores"].values()) for row in predictions]

@weitiao.metric
def broken(references, predictions):
    return references[0]["nothing"]

@weitiao.metric
def wordy(references, predictions):
    return "good"

@weitiao.metric(rows=True)
def short(references, predictions):
    return [1.0]

@weitiao.metric
def nan(references, predictions):
    return float("nan")

def plain(references, predictions):
    return 1.0
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)


@pytest.mark.whole
def test_metrics_of_the_shelf_and_ones_own_judge_and_choose(own, classify):
    added = [
        "f1_micro",
        {"name": "f1_binary", "positive": "bad"},
        "roc_auc",
        "ece",
        "own.py:right",
        "own.py:doubt",
        "own.py:nan",
    ]
    run = wt.train(
        classify(evaluate={"metrics": added}, metric_for_best_model="doubt", max_steps=10, learning_rate=1e-2)
    )
    found = run.results["metrics"]["tuned"]
    assert list(found)[0] == run.results["primary"] == "accuracy"
    accuracy = found["accuracy"]
    for name in ("f1_micro", "right"):  # of one label a row all three are the same
        assert found[name]["value"] == pytest.approx(accuracy["value"])
        assert found[name]["low"] < found[name]["value"]
    rows = [json.loads(line) for line in (run.path / "predictions.jsonl").read_text().splitlines()]
    doubt = sum(1 - row["tuned"]["score"] for row in rows) / len(rows)
    assert found["doubt"]["value"] == pytest.approx(doubt)
    bad = [(row["label"] == "bad", row["tuned"]["label"] == "bad") for row in rows]
    assert found["f1_binary"]["value"] == pytest.approx(
        2 * sum(a and b for a, b in bad) / sum(a + b for a, b in bad)
    )
    assert "finite" in found["nan"]["why"]
    beside = run.results["comparisons"]["untuned"]["metrics"]
    assert beside["right"]["difference"] == pytest.approx(beside["accuracy"]["difference"])
    assert 0 < beside["right"]["p_value"] <= 1
    # The TF-IDF baseline gives labels alone.
    assert "scores" in run.results["metrics"]["tfidf"]["roc_auc"]["why"]
    page = run.report.read_text(encoding="utf-8")
    assert "a calibrated model shows" in page
    assert "nan" not in page.replace("own.py:nan", "").replace(">nan<", "")
    # The least doubt on the validation rows chose the step.
    log = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    asked = [fact for fact in log if fact["event"] == "evaluate"]
    best = min(asked, key=lambda fact: fact["validation/doubt"])
    assert run.folder.json("model/weitiao.json")["step"] == best["step"]
    assert wt.evaluate(run).results["metrics"]["tuned"]["doubt"] == found["doubt"]


@pytest.mark.parametrize(
    ("metrics", "code", "said"),
    [
        (["f1_macros"], "unknown_name", "f1_micro"),
        (["perplexity"], "unfit_metric", "`loss`"),
        (["rmse"], "unfit_metric", "`number`"),
        ([{"name": "f1_binary", "positive": "fine"}], "unfit_metric", '"fine" is none of the labels'),
        (["top_3"], "unfit_metric", "2 labels"),
        ([{"name": "f1", "betta": 2}], "unknown_key", "beta"),
        ([{"name": "f1", "beta": 0}], "wrong_value", "beta"),
        (["f1_micro", "f1_micro"], "wrong_value", "there already"),
        (["f1"], "wrong_value", "there already"),
        (["own.py:nothing"], "no_such_function", "nothing"),
        (["gone.py:right"], "no_such_function", "gone.py"),
        (["own.py:plain"], "bad_metric", "@weitiao.metric"),
        (["own.py:broken"], "bad_metric", "KeyError"),
        (["own.py:wordy"], "bad_metric", "'good'"),
        (["own.py:short"], "bad_metric", "a number for each of"),
        (["rmse", "f1_micro", "perplexity"], "unfit_recipe", '"perplexity" does not suit'),
        (["rmse", "f1_macros", "f1"], "unfit_recipe", "f1_macros"),
    ],
)
def test_what_cannot_judge_is_said_before_the_run_has_cost_anything(own, classify, metrics, code, said):
    with pytest.raises(WeitiaoError) as caught:
        wt.train(classify(evaluate={"metrics": metrics}, max_steps=20, eval_steps=1))
    assert caught.value.code == code
    assert said in str(caught.value)
    assert not Path("run/model").exists()


@pytest.mark.whole
@pytest.mark.parametrize("rows", [1, 12])
def test_test_rows_of_one_class_are_judged_with_a_reason_for_what_cannot_be(
    own, classify, tmp_path, capsys, rows
):
    good = [row for row in reviews(90, seed=5) if row["label"] == "good"][:rows]
    test = str(write_csv(tmp_path / "test.csv", good))
    added = ["roc_auc", "pr_auc", "mcc", "kappa", "ece", "balanced_accuracy", "brier"]
    run = wt.train(classify(data={"test": [test]}, evaluate={"metrics": added}, max_steps=2))
    for metrics in run.results["metrics"].values():
        for name, one in metrics.items():
            assert (one["low"] is None) == ("why" in one), name
            assert one["low"] is None or one["low"] < one["high"], "no interval is a point"
    assert {run.results["metrics"]["tuned"][name]["why"] for name in ("roc_auc", "mcc")} == {"only one class"}
    assert "nan" not in run.report.read_text(encoding="utf-8")
    capsys.readouterr()
    assert cli(["evaluate", str(run.path)]) == 0
    said = capsys.readouterr().out
    assert "only one class" in said
    assert "nan" not in said.replace(str(run.path), "")


def test_a_baseline_that_the_task_does_not_name_is_refused_with_those_it_does(own, classify):
    with pytest.raises(WeitiaoError, match="dictionary") as caught:
        wt.train(classify(evaluate={"baseline": "dictionary"}))
    assert caught.value.code == "unfit_baseline"
    assert "auto, none, tfidf, majority" in str(caught.value)


def test_one_label_of_three_must_be_named(bert, own, classify, tmp_path):
    rows = reviews(60)
    for row in rows[::3]:
        row["label"] = "so"
    file = write_csv(tmp_path / "three.csv", rows)
    with pytest.raises(WeitiaoError, match="say which: positive"):
        wt.train(classify(data={"train": str(file)}, evaluate={"metrics": ["f1_binary"]}))


def test_the_functions_of_the_page_are_metrics(own):
    page = (Path(__file__).parents[2] / "docs/metrics.md").read_text(encoding="utf-8")
    code = page.partition("```python my_metrics.py\n")[2].partition("```")[0]
    Path("my_metrics.py").write_text(code)
    rows = [{"label": label} for label in ("apple", "banana")]
    told = [{"label": label} for label in ("apricot", "banana")]
    for name, worth, better in (("half_right", 0.75, True), ("letters_off", 1.0, False)):
        metric = opened(f"my_metrics.py:{name}")
        assert value(metric, metric.rows(rows, told, ())) == worth
        assert metric.higher_is_better is better
