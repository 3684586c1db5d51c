"""Temperature and thresholds: chosen by validation rows alone, and right by other people's formulas."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import optimize, special
from sklearn import metrics as sk

import weitiao as wt
from tests.conftest import many_labels, rated, reviews, small_run, write_jsonl
from weitiao.cli import run as cli
from weitiao.core.files import read_lines, sha256, write_lines
from weitiao.evaluate.analysis.chances import Chances
from weitiao.evaluate.analysis.temperature import fitted, loss, scaled, temperature
from weitiao.evaluate.analysis.thresholds import choose, thresholds

WORDS = {"confidence": 0.95, "resamples": 200, "seed": 0}


def one_label(count, *, heat, seed, classes=3):
    """Rows whose labels follow softmax(z), and a model that says softmax(z * heat)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (count, classes))
    true = [rng.choice(classes, p=p) for p in special.softmax(logits, axis=1)]
    return Chances(special.softmax(logits * heat, axis=1), np.eye(classes)[true], several=False)


def several(count, *, heat, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-0.5, 1.5, (count, 4))
    true = (rng.random((count, 4)) < special.expit(logits)).astype(float)
    return Chances(special.expit(logits * heat), true, several=True)


@pytest.mark.parametrize("made", [one_label, several])
@pytest.mark.parametrize("heat", [0.4, 1.0, 3.0])
def test_the_temperature_is_where_the_likelihood_is_largest(made, heat):
    rows = made(1500, heat=heat, seed=3)

    def by_sklearn(warm):
        if rows.several:
            likely = special.expit(special.logit(rows.scores) / warm)
            return sk.log_loss(rows.true.ravel(), likely.ravel())
        return sk.log_loss(rows.true.argmax(1), special.softmax(np.log(rows.scores) / warm, axis=1))

    best = optimize.minimize_scalar(
        by_sklearn, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9}
    ).x
    assert fitted(rows) == pytest.approx(best, rel=1e-4)
    assert fitted(rows) == pytest.approx(heat, rel=0.2)
    assert loss(rows, best) == pytest.approx(by_sklearn(best), rel=1e-9)
    np.testing.assert_allclose(scaled(rows, 1.0), rows.scores, atol=1e-9)


@pytest.mark.parametrize("made", [one_label, several])
def test_scaled_probabilities_are_as_calibrated_as_chance_lets_them_be(made):
    found = temperature(made(2000, heat=3.0, seed=1), made(1500, heat=3.0, seed=2), range(1500), **WORDS)
    before, after = found["test"]["before"]["ece"], found["test"]["after"]["ece"]
    assert before["value"] > before["by_chance"]["high"]
    assert after["value"] < after["by_chance"]["high"] * 1.2
    assert after["value"] < before["value"] / 3
    assert found["test"]["after"]["loss"] < found["test"]["before"]["loss"]
    assert found["validation"]["after"] < found["validation"]["before"]


def test_no_temperature_where_there_is_none():
    rows = one_label(60, heat=1.0, seed=0)
    right = Chances(rows.scores, np.eye(3)[rows.scores.argmax(1)], several=False)
    against = Chances(rows.scores, np.eye(3)[rows.scores.argmin(1)], several=False)
    sure = Chances(np.eye(3)[[0, 1, 2] * 20], np.eye(3)[[0, 1, 2] * 20], several=False)
    assert "every validation row is right" in fitted(right)
    assert "every validation row is right" in fitted(sure)
    assert "say nothing of the labels" in fitted(against)
    lost = Chances(sure.scores, np.eye(3)[[1, 2, 0] * 20], several=False)  # probability 0 of what is true
    assert "say nothing of the labels" in fitted(lost)
    assert np.isfinite(loss(lost, 1.0))


def test_thresholds_are_those_of_a_search_over_all_of_them():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        true = rng.random(60) < 0.4
        scores = np.round(np.clip(0.25 * true + rng.normal(0.4, 0.2, 60), 0, 1), 2)  # with ties
        levels = np.unique(scores)
        cuts = [*((levels[1:] + levels[:-1]) / 2), levels[0] / 2]
        hits = {cut: (true & (scores >= cut)).sum() for cut in cuts}
        by_cut = {cut: (hits[cut] / (scores >= cut).sum(), hits[cut] / true.sum()) for cut in cuts}
        for wish in (0.3, 0.6, 0.8, 0.95, 1.0):
            reach = [cut for cut in cuts if by_cut[cut][0] >= wish]
            found = choose(scores, true, "precision", wish)
            if reach:
                assert found == pytest.approx(min(reach))
            else:
                assert f"{max(precision for precision, _ in by_cut.values()):.3f}" in found
            assert choose(scores, true, "recall", wish) == pytest.approx(
                max(cut for cut in cuts if by_cut[cut][1] >= wish)
            )
    assert "no validation row carries it" in choose(scores, np.zeros(60, bool), "recall", 0.5)


def test_what_a_threshold_gives_is_counted_on_the_test_rows():
    chooses, seen = several(400, heat=1.0, seed=0), several(300, heat=1.0, seed=1)
    seen.true[:, 3] = 0
    found = thresholds(list("abcd"), chooses, seen, range(300), [("precision", 0.7)], **WORDS)
    by_label = {one["label"]: one for one in found["thresholds"]}
    for place, label in enumerate("abc"):
        one = by_label[label]
        said, true = seen.scores[:, place] >= one["threshold"], seen.true[:, place]
        assert one["test"]["precision"]["value"] == pytest.approx(sk.precision_score(true, said))
        assert one["test"]["recall"]["value"] == pytest.approx(sk.recall_score(true, said))
        assert one["test"]["precision"]["low"] < one["test"]["precision"]["value"]
        assert one["validation"]["precision"] >= 0.7
    assert by_label["d"]["test"]["recall"] == {
        "value": None,
        "low": None,
        "high": None,
        "why": "no test row carries it",
    }


ROWS = {"text_classification": reviews, "multi_label_classification": many_labels, "text_regression": rated}
OTHER = {"good": "bad", "bad": "good"}


@pytest.mark.whole
@pytest.mark.parametrize("task", ROWS)
def test_other_test_labels_choose_the_same(task, bert, tmp_path, capsys):
    rows = ROWS[task](130)
    if task == "text_classification":  # every seventh label is wrong: no model has all validation rows right
        rows = [
            {**row, "label": OTHER[row["label"]]} if place % 7 == 0 else row for place, row in enumerate(rows)
        ]
    recipe = small_run(
        bert,
        task,
        write_jsonl(tmp_path / "rows.jsonl", rows),
        tmp_path / "run",
        batch=16,
        judge={"untuned": False},
    )
    words = {"eval_strategy": "no", "load_best_model_at_end": False, "learning_rate": 5e-3, "method": "full"}
    run = wt.train(recipe(**words, num_train_epochs=8, data={"split": {"validation": 0.4, "test": 0.2}}))
    assert (
        cli(["report", str(run.path), "--wished", "precision=0.8", "--wished", "recall=0.7", "--json"]) == 0
    )
    told = json.loads(capsys.readouterr().out)
    if task == "text_regression":
        assert told["temperature"] == told["thresholds"] == {"why": "it gives no probability of every label"}
        return
    assert [(one["wished"], one["at_least"]) for one in told["thresholds"]["thresholds"][:2]] == [
        ("precision", 0.8),
        ("recall", 0.7),
    ]
    assert told["temperature"]["temperature"] > 0
    page = run.report.read_text(encoding="utf-8")
    assert "T = " in page
    assert "Thresholds" in page
    lines = read_lines(run.path / "predictions.jsonl")
    for line in lines:
        if "label" in line:
            line["label"] = OTHER[line["label"]]
        else:
            line["labels"] = sorted({"good", "bad"} - set(line["labels"]))
    write_lines(run.path / "predictions.jsonl", lines)
    wt.report(run, wished=[("precision", 0.8), ("recall", 0.7)])
    assert _chosen(run.analysis) == _chosen(told)
    assert run.analysis["temperature"]["test"] != told["temperature"]["test"]
    # A file of another run, or of none.
    validation = read_lines(run.path / "predictions-validation.jsonl")
    write_lines(
        run.path / "predictions-validation.jsonl", [{**line, "file": "other.csv"} for line in validation]
    )
    assert cli(["report", str(run.path), "--wished", "recall=0.7"]) == 5
    (run.path / "predictions-validation.jsonl").unlink()
    assert cli(["report", str(run.path), "--wished", "recall=0.7"]) == 0
    assert run.analysis["thresholds"] == {"why": "0 validation rows choose nothing; 20 are the fewest"}
    for wrong in ("recall", "recall=x", "recall=0", "f1=0.5", "precision=1.2", "recall=nan"):
        assert cli(["report", str(run.path), "--wished", wrong]) == 2
        assert "is no wish" in capsys.readouterr().err


@pytest.mark.whole
@pytest.mark.parametrize("task", ["text_classification", "multi_label_classification"])
def test_other_answers_in_the_test_file_choose_the_same(task, bert, tmp_path):
    """The door from rows to page, twice; between them every answer of `data.test` is changed and nothing else."""
    rows = ROWS[task](140)
    turned = [
        {**row, "label": OTHER[row["label"]]}
        if "label" in row
        else {**row, "labels": sorted({"good", "bad"} - {*row["labels"]})}
        for row in rows[100:]
    ]
    train, runs = write_jsonl(tmp_path / "train.jsonl", rows[:100]), []
    for name, test in (("as-it-is", rows[100:]), ("turned", turned)):
        recipe = small_run(bert, task, train, tmp_path / name, batch=8, judge={"untuned": False})
        data = {
            "test": str(write_jsonl(tmp_path / f"{name}.jsonl", test)),
            "split": {"validation": 0.4, "test": 0},
        }
        words = {"method": "full", "learning_rate": 8e-3, "num_train_epochs": 12, "eval_steps": 4}
        run = wt.train(recipe(**words, early_stopping_patience=2, data=data))
        wt.report(run, wished=[("precision", 0.8), ("recall", 0.7)])
        runs.append(run)
    one, other = runs
    cards = [run.folder.json("model/weitiao.json") for run in runs]
    steps = [
        max(line["step"] for line in read_lines(run.path / "log.jsonl") if "step" in line) for run in runs
    ]
    assert steps[0] == steps[1]  # early stopping
    assert cards[0]["step"] == cards[1]["step"] < steps[0], "the best checkpoint is not simply the last"
    assert sha256(one.folder.model / "model.safetensors") == sha256(other.folder.model / "model.safetensors")
    assert cards[0]["task"] == cards[1]["task"]  # the thresholds of labels among its settings
    assert bool(cards[0]["task"].get("thresholds")) == (task == "multi_label_classification")
    assert _chosen(one.analysis) == _chosen(other.analysis)  # temperature, thresholds for what is wished
    name = one.results["primary"]
    assert one.results["metrics"]["tuned"][name] != other.results["metrics"]["tuned"][name]


def _chosen(analysis):
    heat = {key: value for key, value in analysis["temperature"].items() if key != "test"}
    return heat, [
        {key: value for key, value in one.items() if key != "test"}
        for one in analysis["thresholds"]["thresholds"]
    ]
