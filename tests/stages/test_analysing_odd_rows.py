"""What an analysis says where there is little to say: a class that no test row carries, a slice of one row, another run's rows."""

from __future__ import annotations

import json

import pytest

import weitiao as wt
from tests.conftest import reviews, small_run, write_csv
from weitiao.cli import run as weitiao


@pytest.fixture(scope="module")
def run(bert, tmp_path_factory) -> wt.Run:
    """Trained on three classes, of which the test rows carry two; one of them is of a shop of its own."""
    folder = tmp_path_factory.mktemp("odd")
    rows = [{**row, "shop": "AB"[n % 2]} for n, row in enumerate(reviews(140))]
    train = [{**row, "label": "rare"} if n % 9 == 0 else row for n, row in enumerate(rows[:80])]
    test = [{**row, "shop": "lonely"} if n == 7 else row for n, row in enumerate(rows[80:])]
    recipe = small_run(
        bert,
        "text_classification",
        write_csv(folder / "train.csv", train),
        folder / "run",
        batch=16,
        judge={"untuned": False},
    )
    asked = recipe(
        method="head",
        max_steps=2,
        eval_strategy="no",
        save_strategy="no",
        load_best_model_at_end=False,
        data={"test": str(write_csv(folder / "test.csv", test)), "split": {"validation": 0.3}},
    )
    return wt.train(asked, tell=lambda event, **facts: None)


def numbers(told):
    """Every number, however deep."""
    if isinstance(told, dict | list):
        for each in told.values() if isinstance(told, dict) else told:
            yield from numbers(each)
    elif isinstance(told, float):
        yield told


def test_a_class_without_a_test_row_and_a_slice_of_one_row_leave_no_nan(run, capsys):
    assert weitiao(["report", str(run.path), "--by", "shop"]) == 0
    said = capsys.readouterr().err.replace("\u2068", "").replace("\u2069", "")
    assert "shop: lonely" in said.partition("Fewer than 10 rows, so not looked at: ")[2].partition(".")[0]
    for file in ("results.json", "analysis.json"):
        told = json.loads((run.path / file).read_text(encoding="utf-8"), parse_constant=pytest.fail)
        assert all(number == number for number in numbers(told))
    assert "rare" in run.results["labels"]
    page = run.report.read_text(encoding="utf-8")
    assert ">nan<" not in page.lower()
    assert weitiao(["report", str(run.path), "--by", "shp"]) == 2
    assert "shop" in capsys.readouterr().err


def test_predictions_of_another_run_are_refused_by_name(run, capsys):
    path = run.path / "predictions.jsonl"
    own = path.read_text(encoding="utf-8")
    lines = own.splitlines(keepends=True)
    try:
        for other in (
            lines[1:],
            lines[1:2] + lines[1:],
            [lines[0].replace("test.csv", "else.csv"), *lines[1:]],
        ):
            path.write_text("".join(other), encoding="utf-8")
            assert weitiao(["report", str(run.path), "--by", "shop"]) == 5
            said = capsys.readouterr().err
            assert "other_predictions" in said
            assert "weitiao evaluate" in said
    finally:
        path.write_text(own, encoding="utf-8")
    assert weitiao(["report", str(run.path), "--by", "shop"]) == 0
