"""Slices: the worst is named when it is bad, and not when it is so by chance; through `weitiao report`, too."""

from __future__ import annotations

import json
import random
import re

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn import metrics as sk

import weitiao as wt
from tests.conftest import (
    asked,
    dialogues,
    many_labels,
    rarely,
    rated,
    reviews,
    small_run,
    tagged,
    write_jsonl,
)
from weitiao.cli import run as cli
from weitiao.core import registry
from weitiao.core.analysis import Found
from weitiao.core.files import read_lines, write_lines
from weitiao.evaluate.analysis.parts import language_of, parts_of
from weitiao.evaluate.analysis.slices import slices, worth
from weitiao.evaluate.worst import text
from weitiao.stages.kept_rows import kept
from weitiao.stages.unseen_words import unseen

ACCURACY = registry.build("metric", {"name": "accuracy"})


def found(rows, right, *, columns=None, groups=None, confidence=0.95, seed=0):
    rows_NK = np.stack([right.astype(float), np.ones(len(rows))], axis=1)
    groups = range(len(rows)) if groups is None else groups
    words = {"confidence": confidence, "resamples": 200, "seed": seed}
    return slices(parts_of(rows, columns), rows_NK, "accuracy", ACCURACY, list(groups), **words)


def drawn(rng, count):
    """Rows of many lengths, two files, three labels."""
    return [
        {
            "text": "word " * int(rng.integers(1, 60)),
            "file": f"{'ab'[int(rng.integers(2))]}.csv",
            "line": line,
            "label": "xyz"[int(rng.integers(3))],
        }
        for line in range(count)
    ]


@pytest.mark.whole
def test_without_any_effect_one_report_in_twenty_names_a_slice():
    named = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows = drawn(rng, 150)
        columns = {"shop": rng.choice(list("abcdef"), len(rows)).tolist()}
        named += found(rows, rng.random(len(rows)) < 0.85, columns=columns, seed=seed)["named"] > 0
    assert named <= 8, "at one in twenty more than 8 of 60 happen in 1 of 400 tries"


def test_a_slice_that_is_eight_points_worse_is_named_and_comes_first():
    rng = np.random.default_rng(1)
    rows = drawn(rng, 4000)
    shop = rng.choice(list("abcd"), len(rows))
    right = rng.random(len(rows)) < np.where(shop == "c", 0.80, 0.88)
    seen = found(rows, right, columns={"shop": shop.tolist()})
    first = seen["slices"][0]
    assert (first["by"], first["name"], first["named"]) == ("shop", "c", True)
    assert first["value"] == pytest.approx(right[shop == "c"].mean())
    assert first["rest"] == pytest.approx(right[shop != "c"].mean())
    assert first["low"] < first["value"] < first["high"]
    assert [one["name"] for one in seen["slices"] if one["named"]] == ["c"]
    # Whoever asks for more certainty hears of fewer.
    assert not found(rows, right, columns={"shop": shop.tolist()}, confidence=0.9999)["named"]


@pytest.mark.whole
def test_rows_that_belong_together_are_dealt_together():
    # Forty groups of twenty rows, each right or wrong as a whole: a slice of whole groups is bad by chance alone.
    plain = grouped = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rows = drawn(rng, 800)
        group = np.arange(len(rows)) // 20
        right = (rng.random(40) < 0.7)[group]
        shop = rng.choice(list("abcd"), 40)[group].tolist()
        plain += found(rows, right, columns={"shop": shop})["named"] > 0
        grouped += found(rows, right, columns={"shop": shop}, groups=group)["named"] > 0
    assert plain > 20, "the test cannot fail"
    assert grouped <= 6


def test_the_chance_of_one_slice_is_that_of_the_hypergeometric_distribution():
    from scipy import stats

    rows = [{"text": "same", "file": "a", "line": line} for line in range(200)]
    wrong = np.arange(200) < 40
    shop = np.where(
        (np.arange(200) < 10) | (np.arange(200) >= 180), "a", "b"
    )  # 10 wrong of 30, where 6 are expected
    seen = found(rows, ~wrong, columns={"shop": shop.tolist()})
    # The other shop is as bad when this one is as good: both are looked at.
    of_a = stats.hypergeom(200, 40, 30)
    assert seen["slices"][0]["name"] == "a"
    assert seen["slices"][0]["p_value"] == pytest.approx(of_a.sf(9) + of_a.cdf(2), abs=0.03)


def test_what_a_row_is_worth_is_what_is_lost_without_it():
    rng = np.random.default_rng(0)
    labels = ["x", "y", "z"]
    true, said = rng.choice(labels, 50), rng.choice(labels, 50)
    metric = registry.build("metric", {"name": "f1"})
    rows_NK = np.asarray(
        metric.rows([{"label": one} for one in true], [{"label": one} for one in said], labels)
    )
    whole = sk.f1_score(true, said, average="macro")
    own = [
        whole - sk.f1_score(np.delete(true, row), np.delete(said, row), average="macro") for row in range(50)
    ]
    np.testing.assert_allclose(worth(metric, rows_NK), own, atol=1e-12)


def test_parts_are_of_length_file_language_label_and_columns():
    rows = [
        {"text": "the film is not bad and it was good" * n, "label": "ab"[n % 2], "file": "f"}
        for n in (1, 2, 3, 4)
    ]
    rows += [
        {"text": "这部电影很好看", "label": "a", "file": "g"},
        {"text": "Очень хорошо", "label": "a", "file": "g"},
    ]
    parts = parts_of(rows, {"price": [1, 2.5, "x", None, "x", 1], "year": list(range(6))})
    names = {(part.by, part.name if isinstance(part.name, str) else part.name.en) for part in parts}
    assert {("file", "f"), ("label", "b"), ("price", "x"), ("price", "1"), ("year", "3")} < names
    assert ("language", "Latin, en") in names
    assert language_of("Очень хорошо") == "Cyrillic"
    assert language_of("这部电影来") == "Han, simplified"
    assert language_of("123") == ""
    lengths = [part for part in parts if part.by == "length"]
    assert sum(part.rows.sum() for part in lengths) == len(rows)
    assert not [part for part in parts_of(rows[:1]) if part]
    counted = [{**row, "row_tokens": n} for n, row in enumerate(rows)]
    tokens = [part for part in parts_of(counted) if part.by == "tokens"]
    assert sum(part.rows.sum() for part in tokens) == len(rows)
    assert tokens[0].name.en == "0–1 tokens"
    (new,) = (
        part
        for part in parts_of(rows, unseen=[0, 0, 0, 0, None, 25])
        if part.by == "unseen_words" and part.rows[5]
    )
    assert new.rows.tolist() == [False] * 5 + [True]


def test_rows_of_words_that_were_never_met_are_named_where_they_are_wrong():
    rng = np.random.default_rng(0)
    rows, new = drawn(rng, 400), rng.choice([0.0, 0.0, 0.0, 20.0], 400)
    rows_NK = np.stack([(rng.random(400) < np.where(new > 0, 0.6, 0.95)).astype(float), np.ones(400)], axis=1)
    told = slices(
        parts_of(rows, unseen=new.tolist()), rows_NK, "accuracy", ACCURACY, range(400), confidence=0.95
    )
    worst = told["slices"][0]
    assert worst["by"] == "unseen_words"
    assert worst["named"]
    assert worst["rows"] == (new > 0).sum()


TASKS = {
    "text_classification": (reviews, "accuracy"),
    "multi_label_classification": (many_labels, "f1_micro"),
    "text_regression": (rated, "mae"),
    "token_classification": (tagged, "span_f1"),
    "question_answering": (asked, "squad_f1"),
    "sft": (dialogues, "perplexity"),
}


@pytest.fixture(scope="module")
def trained(bert, llama, tmp_path_factory):
    made: dict[str, wt.Run] = {}

    def of(task):
        if task not in made:
            folder = tmp_path_factory.mktemp(task)
            rng = random.Random(0)
            rows = [{**row, "shop": rng.choice("ab")} for row in TASKS[task][0](130)]
            file = write_jsonl(folder / "rows.jsonl", rows)
            judge = {"max_new_tokens": 2, "samples": 1, "answers": 2} if task == "sft" else {}
            recipe = small_run(
                llama if task == "sft" else bert, task, file, folder / "run", batch=16, judge=judge
            )
            split = {"split": {"validation": 0.2, "test": 0.4}}
            made[task] = wt.train(
                recipe(
                    max_steps=3,
                    eval_strategy="no",
                    load_best_model_at_end=False,
                    learning_rate=1e-2,
                    data=split,
                )
            )
        return made[task]

    return of


@pytest.mark.parametrize("task", [task if task == "text_classification" else rarely(task) for task in TASKS])
def test_every_task_has_slices_and_keeps_what_it_says_of_validation_rows(task, trained, capsys):
    run = trained(task)
    assert cli(["report", str(run.path), "--by", "shop", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    raw = (run.path / "analysis.json").read_text()
    assert "NaN" not in raw
    assert "Infinity" not in raw
    Found.model_validate_json(raw, strict=True)
    shown = {
        row["place"]
        for one in run.results["sections"].values()
        if one["kind"] == "rows"
        for row in one["rows"]
    }
    assert {place: set(row) for place, row in told["columns"].items()} == {place: {"shop"} for place in shown}
    assert {**json.loads(raw), "page": told["page"]} == told
    seen = told["slices"]
    assert seen["metric"] == TASKS[task][1]
    assert seen["value"] == pytest.approx(run.results["metrics"]["tuned"][seen["metric"]]["value"])
    assert {one["name"] for one in seen["slices"] if one["by"] == "shop"} == {"a", "b"}
    two = [one for one in seen["slices"] if one["by"] == "shop"]
    assert two[0]["value"] == pytest.approx(two[1]["rest"])
    assert sum(one["rows"] for one in two) == run.results["rows"]
    lines, words = read_lines(run.path / "predictions.jsonl"), run.tuned.processor
    if task == "text_classification":
        assert [line["row_tokens"] for line in lines] == [
            len(words(line["text"])["input_ids"]) for line in lines
        ]
    met = {
        word
        for record, _ in kept(run.folder, "train")
        for word in re.findall("[a-z]+", str(record.values).lower())
    }
    shares = [one for one in unseen(run, lines) if one is not None]
    assert len(shares) == len(lines)
    for line, share in zip(lines, shares, strict=True):
        asked_for = {*re.findall("[a-z]+", text(line).lower())}
        if asked_for <= met and task == "text_classification":
            assert share == 0
        assert 0 <= share <= 100
    validation = read_lines(run.path / "predictions-validation.jsonl")
    assert len(validation) == len(run.folder.json("data/split.json")["validation"])
    assert all("tuned" in line for line in validation)
    scored = task in ("text_classification", "multi_label_classification")
    for part in ("temperature", "thresholds", "surest"):
        assert (told[part].get("why") == "it gives no probability of every label") != scored
    page = run.report.read_text(encoding="utf-8")
    assert "slices" in page
    if task == "multi_label_classification":
        assert "label" in seen["undefined"]


def test_without_its_training_rows_a_run_has_all_other_slices(trained, capsys):
    run = trained("text_classification")
    file = run.path / "data" / "train.jsonl.gz"
    whole = file.read_bytes()
    file.unlink()
    try:
        assert cli(["report", str(run.path), "--by", "shop", "--json"]) == 0
    finally:
        file.write_bytes(whole)
    told = json.loads(capsys.readouterr().out)["slices"]
    assert "train.jsonl.gz" in told["undefined"]["unseen_words"]
    assert "shop" in {one["by"] for one in told["slices"]}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda found: found.update(version=2), "version"),
        (lambda found: found.pop("columns"), "columns"),
        (lambda found: found.update(more=1), "more"),
        (lambda found: found["slices"].pop("deals"), "deals"),
        (lambda found: found["slices"]["slices"][0].update(value=float("nan")), "value"),
        (lambda found: found["temperature"].update(why="both"), "why"),
        (lambda found: found["surest"]["surest"][0].update(error=0.5), "error"),
        (lambda found: found["sections"]["slices"].update(kind="pie"), "kind"),
    ],
)
def test_what_the_schema_does_not_say_is_found(trained, change, where):
    found = json.loads(json.dumps(trained("text_classification").analysis))
    Found.model_validate_json(json.dumps(found), strict=True)
    change(found)
    with pytest.raises(ValidationError, match=where):
        Found.model_validate_json(json.dumps(found), strict=True)


def test_what_is_asked_wrongly_is_a_coded_error(trained, capsys):
    run = trained("text_classification")
    before = (run.path / "predictions.jsonl").read_text()
    assert cli(["report", str(run.path), "--by", "shops"]) == 2
    said = capsys.readouterr().err
    assert 'no column "shops"' in said
    assert "shop" in said
    assert cli(["report", str(run.path), str(run.path), "--by", "shop"]) == 2
    assert "--by" in capsys.readouterr().err
    lines = read_lines(run.path / "predictions.jsonl")
    for others in (lines[:-1], [{**line, "line": line["line"] + 1000} for line in lines]):
        write_lines(run.path / "predictions.jsonl", others)
        assert cli(["report", str(run.path), "--by", "shop"]) == 5
        assert "is not what" in capsys.readouterr().err
    (run.path / "predictions.jsonl").write_text(before)


def test_other_rows_are_cut_by_the_columns_of_their_own_file(trained, tmp_path):
    run = trained("text_classification")
    rows = [{**row, "town": "uv"[place % 2]} for place, row in enumerate(reviews(60, seed=9))]
    other = wt.evaluate(run, write_jsonl(tmp_path / "new.jsonl", rows))
    wt.report(other, by=["town"])
    assert {one["name"] for one in other.analysis["slices"]["slices"] if one["by"] == "town"} == {"u", "v"}
