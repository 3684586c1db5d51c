"""Errors by confidence, confused labels and likely wrong ones: against brute force and planted faults."""

from __future__ import annotations

import json

import numpy as np
import pytest

import weitiao as wt
from tests.conftest import reviews, small_run, write_csv
from weitiao.cli import run as cli
from weitiao.core.files import read_lines
from weitiao.evaluate.analysis.chances import Chances
from weitiao.evaluate.analysis.pairs import pairs
from weitiao.evaluate.analysis.surest import certainty, section, surest
from weitiao.evaluate.analysis.suspects import by_chance, suspects

WORDS = {"confidence": 0.95, "resamples": 100, "seed": 0}


def drawn(count, *, seed=0, several=False):
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet((0.6, 0.6, 0.6), count)
    return Chances(scores, np.eye(3)[rng.integers(3, size=count)], several=several)


def test_among_the_surest_rows_as_many_are_wrong_as_are_counted():
    rows = drawn(237)
    wrong = rows.scores.argmax(1) != rows.true.argmax(1)
    found = surest(rows, wrong, range(237), **WORDS)
    sure = rows.scores.max(1)
    for one in found["surest"]:
        first = np.argsort(-sure)[: one["rows"]]
        assert one["error"]["value"] == pytest.approx(wrong[first].mean())
        assert one["error"]["low"] <= one["error"]["value"] <= one["error"]["high"]
        assert one["confidence"] == pytest.approx(sure[first].min())
    assert [round(one["share"], 1) for one in found["surest"]] == [n / 10 for n in range(1, 11)]
    in_order = wrong[np.argsort(-sure)]
    assert found["area"] == pytest.approx(np.mean([in_order[: k + 1].mean() for k in range(237)]))
    assert found["surest"][-1]["error"]["value"] == pytest.approx(found["error"])


def test_rows_of_one_confidence_stay_together():
    rows = Chances(np.full((40, 2), 0.5), np.eye(2)[[0, 1] * 20], several=False)
    for order in (slice(None), slice(None, None, -1)):
        wrong = (np.arange(40) < 10)[order]
        found = surest(rows, wrong, range(40), **WORDS)
        assert [one["rows"] for one in found["surest"]] == [40]
        assert found["area"] == pytest.approx(0.25)
        assert section(found) is None
    some = drawn(5, several=True)
    np.testing.assert_allclose(certainty(some), [min(max(p, 1 - p) for p in row) for row in some.scores])


def test_confused_labels_come_with_the_rows_that_were_surest():
    rng = np.random.default_rng(0)
    rows = [{"text": f"t{n}", "file": "f.csv", "line": n, "label": "abc"[n % 3]} for n in range(60)]
    told = [{"label": "abc"[int(rng.integers(3))], "score": float(rng.random())} for _ in rows]
    found = pairs(rows, told)
    counts = [one["rows"] for one in found]
    assert counts == sorted(counts, reverse=True)
    for one in found:
        same = [n for n in range(60) if (rows[n]["label"], told[n]["label"]) == (one["true"], one["said"])]
        assert one["rows"] == len(same)
        best = sorted(same, key=lambda n: -told[n]["score"])[:3]
        assert [example["place"] for example in one["examples"]] == [f"f.csv:{n}" for n in best]
    assert pairs(rows, [{"label": row["label"]} for row in rows]) == []


def test_a_label_is_doubted_by_both_or_not_at_all():
    rows = [{"text": f"t{n}", "file": "f.csv", "line": n, "label": "ab"[n % 2]} for n in range(80)]
    true = np.eye(3)[[n % 2 for n in range(80)]]
    scores = np.where(true > 0, 0.9, 0.05)
    scores[[4, 6]] = (0.03, 0.95, 0.02)
    scores[8] = (0.1, 0.1, 0.8)  # a label that no row carries has no threshold
    judge = [{"label": row["label"]} for row in rows]
    judge[4] = judge[10] = {"label": "b"}
    chances = Chances(scores, true, several=False)
    systems = {"tuned": judge, "untuned": judge, "majority": [{"label": "a"}] * 80, "tfidf": judge}
    found = suspects(rows, systems, chances, ["a", "b", "c"])
    assert found["judge"] == "tfidf"
    assert [(one["place"], one["label"], one["rather"]) for one in found["suspects"]] == [
        ("f.csv:4", "a", "b")
    ]
    assert found["by_chance"] == pytest.approx(2 * 2 / 40)  # of 40 rows with `a` both say `b` twice
    del systems["tfidf"]
    assert "no baseline" in suspects(rows, systems, chances, ["a", "b", "c"])["why"]


def test_of_several_labels_each_is_paired_and_doubted_by_itself():
    rows = [
        {"text": f"t{n}", "file": "f.csv", "line": n, "labels": ["a"] if n % 2 else []} for n in range(80)
    ]
    true = np.array([[n % 2, 0] for n in range(80)])
    scores = np.where(true > 0, 0.9, 0.05)
    scores[4, 0], scores[7, 0], scores[9] = 0.97, 0.02, (0.03, 0.8)
    told = [{"labels": [w for w, p in zip("ab", row, strict=True) if p > 0.5]} for row in scores]
    told = [
        {**one, "scores": dict(zip("ab", row, strict=True))} for one, row in zip(told, scores, strict=True)
    ]
    mistaken = {(one["true"], one["said"]): one for one in pairs(rows, told)}
    assert {pair: one["rows"] for pair, one in mistaken.items()} == {
        ("", "a"): 1,
        ("a", ""): 1,
        ("a", "b"): 1,
    }
    assert mistaken["a", ""]["examples"][0]["score"] == pytest.approx(0.98)
    judge = [{"labels": row["labels"]} for row in rows]
    judge[4] = {"labels": ["a"]}
    judge[7] = judge[8] = {"labels": []}
    systems = {"tuned": told, "tfidf_each": judge}
    chances = Chances(scores, true, several=True)
    found = suspects(rows, systems, chances, ["a", "b"])
    # The judge does not doubt row 9, and no row carries b.
    assert [(one["place"], one["label"], one["rather"]) for one in found["suspects"]] == [
        ("f.csv:7", "a", ""),
        ("f.csv:4", "", "a"),
    ]
    assert found["by_chance"] == pytest.approx(1 * 1 / 40 + 2 * 1 / 40)


def test_weak_models_agree_on_wrong_labels_as_often_as_is_said():
    rng = np.random.default_rng(3)
    true = rng.integers(3, size=6000)
    said = [np.where(rng.random(6000) < 0.6, true, rng.integers(3, size=6000)) for _ in range(2)]
    rows, ours, others = ([{"label": "abc"[n]} for n in each] for each in (true, *said))
    both_wrong = ((said[0] == said[1]) & (said[0] != true)).sum()
    assert by_chance(rows, ours, others) == pytest.approx(both_wrong, rel=0.15)


@pytest.mark.whole
def test_planted_wrong_labels_are_found_in_the_test_rows(bert, tmp_path, capsys):
    rows = reviews(330, seed=4)
    train, test = rows[:210], rows[210:]
    wrong = {5, 17, 40, 77, 101}
    swap = {"good": "bad", "bad": "good"}
    asked = [{**row, "label": swap[row["label"]]} if n in wrong else row for n, row in enumerate(test)]
    recipe = small_run(
        bert,
        "text_classification",
        write_csv(tmp_path / "train.csv", train),
        tmp_path / "run",
        batch=16,
        judge={"untuned": False},
    )
    file = write_csv(tmp_path / "test.csv", asked)
    words = {
        "eval_strategy": "no",
        "load_best_model_at_end": False,
        "learning_rate": 5e-3,
        "num_train_epochs": 10,
    }
    run = wt.train(recipe(**words, method="full", data={"test": str(file), "split": {"validation": 0.1}}))
    lines = read_lines(run.path / "predictions.jsonl")
    learnt = np.mean([line["label"] == line["tuned"]["label"] for line in lines])
    assert learnt > 0.85, "the toy has not learnt: the test says nothing"
    assert cli(["report", str(run.path), "--wished", "recall=0.5"]) == 0
    said = capsys.readouterr()
    assert "Likely wrong labels: " in said.err
    assert said.out.strip().endswith("report.html")
    found = {int(one["place"].rpartition(":")[2]) - 2 for one in run.analysis["wrong_labels"]["suspects"]}
    assert len(found & wrong) >= 4
    assert len(found - wrong) <= 2
    raw = (run.path / "analysis.json").read_text()
    assert "NaN" not in json.dumps(json.loads(raw))
    page = run.report.read_text(encoding="utf-8")
    assert all(title in page for title in ("Errors by confidence", "Likely wrong labels", "Confused labels"))
