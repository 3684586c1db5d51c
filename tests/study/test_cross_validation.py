"""Every row tested once, through the word that users have.

Most of it goes by runs made by hand in a moment (`made`): a "model" that reads the first letters of a text; only whose
folds are which, and what is said of them, is looked at.  The trainings themselves are at the end, in the whole tier.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import weitiao as wt
from tests.conftest import reviews, small_run, write_csv
from weitiao.cli import run as weitiao
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.files import read_lines, sha256, stream_lines, write_json, write_lines
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.data.check import check
from weitiao.data.shapes import LABELLED
from weitiao.data.split import split, together
from weitiao.evaluate.chosen import judged
from weitiao.evaluate.judge import judge
from weitiao.stages.kept_rows import FILES
from weitiao.study.child_process import Outcome
from weitiao.study.folds_page import folds_page
from weitiao.study.folds_table import verdict

pytestmark = pytest.mark.whole  # a training each fold


@pytest.fixture
def recipe(bert, tmp_path) -> dict[str, Any]:
    rows = [{**row, "day": str(i // 3), "user": f"u{i % 17}"} for i, row in enumerate(reviews(90))]
    table = write_csv(tmp_path / "reviews.csv", rows)
    made = small_run(bert, "text_classification", table, tmp_path / "cv", batch=8, judge={})
    return made(num_train_epochs=8, learning_rate=5e-3, method="full")


@pytest.fixture
def made(monkeypatch):
    """Folds are "trained" at once: the split is the real one, and so is the judge; `fails` names folds that do not."""
    fails: dict[str, Outcome] = {}
    tried: list[str] = []

    def attempt(path: Path, *, label: str, relay: Any, heard: Any) -> Outcome:
        tried.append(label)
        if label in fails:
            return fails[label]
        by_hand(path)
        return Outcome(2.0, None)

    monkeypatch.setattr(importlib.import_module("weitiao.study.schedule"), "train_apart", attempt)
    return fails, tried


def by_hand(path: Path) -> None:
    """A finished run folder of that recipe, as far as a study reads it."""
    asked, run = Recipe.read(path), RunFolder(path.parent)
    checked = check(asked.data, LABELLED, seed=asked.seed)
    task = registry.build("task", asked.task).learn(checked.rows)
    sides = split(checked, asked.data, seed=asked.seed)
    group = together(checked.marks.take(sides["test"])).tolist()
    rows = {side: [checked.rows[row] for row in found.tolist()] for side, found in sides.items()}
    labels, count = task.classes(), asked.data.split.test_fold

    def says(text: str, fold: int) -> dict[str, Any]:
        label = labels[(len(text) + (fold if text[0] in "aemf" else 0)) % 2]
        return {"label": label, "score": 0.9, "scores": {one: 0.9 if one == label else 0.1 for one in labels}}

    test = rows["test"]
    references = [{"text": row.values["text"], "label": row.values["label"]} for row in test]
    systems = {
        "tuned": [says(row.values["text"], count) for row in test],
        "untuned": [says(row.values["text"], 0) for row in test],
    }
    metrics = judged(task)
    found = judge(references, systems, metrics, labels=labels, groups=group, resamples=100)
    write_json(
        run.path / "facts.json",
        {
            "weitiao": "0",
            "created": "2026-01-01",
            "seed": 0,
            "machine": {},
            "versions": {},
            "fingerprints": {"data": "d", "base": "b"},
        },
    )
    write_json(
        run.path / "data" / "split.json", {side: [row.id for row in each] for side, each in rows.items()}
    )
    write_json(run.path / "data" / "ledger.json", checked.ledger.to_dict())
    write_json(
        run.model / "weitiao.json",
        {"task": registry.settings_of("text_classification", task), "trained": 1, "total": 2, "seconds": 1.0},
    )
    write_json(
        run.path / "results.json",
        {"primary": task.primary, "labels": list(labels), "seconds": {"evaluate": 1.0}, **found},
    )
    lines = [
        {
            "file": row.file,
            "line": row.line,
            "group": group[i],
            **references[i],
            **{name: told[i] for name, told in systems.items()},
        }
        for i, row in enumerate(test)
    ]
    write_lines(run.path / "predictions.jsonl", lines)


# --- every row once, and what is said of all


def test_every_row_is_predicted_once_by_a_model_that_has_not_seen_it(made, recipe):
    found = wt.cross_validate(recipe, folds=4, tell=lambda event, **facts: None)
    lines = found.predictions
    assert [line["line"] for line in lines] == list(range(2, 92)), "in the order of the file"
    for fold in range(4):
        run = found.run(fold)
        mine = [f"{line['file']}:{line['line']}" for line in lines if line["fold"] == fold]
        sides = run.folder.json("data/split.json")
        assert sorted(mine) == sorted(sides["test"])
        assert not set(mine) & {*sides["train"], *sides["validation"]}
        assert sides["validation"], "they come out of the fold's own training rows"
        assert run.recipe.data.split.test_fold == fold
    assert sorted(np.bincount([line["fold"] for line in lines])) == [22, 22, 23, 23]


def test_means_intervals_and_tests_are_those_of_an_independent_computation(made, recipe):
    found = wt.cross_validate(recipe, folds=4, tell=lambda event, **facts: None)
    results, lines = found.results, found.predictions
    right = {
        system: [
            [line[system]["label"] == line["label"] for line in lines if line["fold"] == fold]
            for fold in range(4)
        ]
        for system in ("tuned", "untuned")
    }
    each = {system: [np.mean(fold) for fold in folds] for system, folds in right.items()}
    trained = sum(row["rows"]["train"] for row in results["folds"])
    ratio = 90 / trained
    assert results["ratio"] == pytest.approx(ratio)
    own = results["metrics"]["tuned"]["accuracy"]
    error = np.std(each["tuned"], ddof=1) * np.sqrt(1 / 4 + ratio)
    low, high = stats.t(3, loc=np.mean(each["tuned"]), scale=error).interval(0.95)
    assert [own[key] for key in ("mean", "sd", "low", "high")] == pytest.approx(
        [np.mean(each["tuned"]), np.std(each["tuned"], ddof=1), low, high]
    )
    gains = np.subtract(each["tuned"], each["untuned"])
    assert gains.std() > 0, "the two differ, fold by fold"
    beside = results["comparisons"]["untuned"]["accuracy"]
    t = gains.mean() / (gains.std(ddof=1) * np.sqrt(1 / 4 + ratio))
    assert beside["p_value"] == beside["p_holm"] == pytest.approx(2 * stats.t.sf(abs(t), 3))
    whole = results["all_rows"]["metrics"]["tuned"]["accuracy"]
    flat = [one for fold in right["tuned"] for one in fold]
    interval = stats.binomtest(sum(flat), 90).proportion_ci(0.95, "wilson")
    assert (whole["value"], whole["low"], whole["high"]) == pytest.approx((np.mean(flat), *interval))
    assert results["all_rows"]["rows"] == 90
    assert f"accuracy {np.mean(each['tuned']):.3f} on average over 4 folds" in results["sentence"]
    assert results["version"] == 1
    assert "NaN" not in (found.path / "cv.json").read_text()


@pytest.mark.parametrize(
    ("difference", "p", "lower", "said"),
    [
        (0.1, 0.01, False, "better"),
        (-0.1, 0.01, False, "worse"),
        (-0.1, 0.01, True, "better"),
        (0.1, 0.01, True, "worse"),
        (0.1, 0.06, False, "level"),
        (0.1, None, True, "level"),
        (0.0, 0.01, False, "level"),
    ],
)
def test_better_is_lower_where_lower_is_better(difference, p, lower, said):
    results = {"metric": "m", "confidence": 0.95, "lower_is_better": ["m"] if lower else []}
    assert verdict(results, {"difference": difference, "p_holm": p}) == said


def test_users_stay_whole_and_time_goes_forward(made, recipe):
    by_user = wt.cross_validate(
        recipe, folds=3, overrides=["data.split.group_by=user"], tell=lambda *_, **__: None
    )
    users = [f"u{(line['line'] - 2) % 17}" for line in by_user.predictions]
    assert len({(user, line["fold"]) for user, line in zip(users, by_user.predictions, strict=True)}) == 17
    assert by_user.results["dealt"]["by"] == "group"

    told = []
    words = ["data.split.time=day", f"output_dir={by_user.path}-time"]
    by_time = wt.cross_validate(
        recipe, folds=5, overrides=words, tell=lambda event, **facts: told.append((event, facts))
    )
    day = lambda place: (int(str(place).rpartition(":")[2]) - 2) // 3  # noqa: E731
    for fold in range(5):
        sides = by_time.run(fold).folder.json("data/split.json")
        assert max(map(day, sides["train"])) <= min(map(day, sides["validation"]))
        assert max(map(day, sides["validation"])) < min(map(day, sides["test"]))
    dealt = by_time.results["dealt"]
    assert dealt["never_tested"] == 15 == 90 - len(by_time.predictions)
    assert {day(line["line"]) for line in by_time.predictions} == set(range(5, 30))
    assert dict(told)["cross_validating"]["dealt"] == dealt


def test_the_same_again_is_the_same_and_resume_trains_nothing(made, recipe):
    _, tried = made
    found = wt.cross_validate(recipe, folds=3, tell=lambda *_, **__: None)
    before = (found.path / "cv.json").read_bytes(), (found.path / "predictions.jsonl").read_bytes()
    tried.clear()
    with pytest.raises(WeitiaoError, match=r"cv_exists.*3 of 3 folds"):
        wt.cross_validate(recipe, folds=3)
    wt.cross_validate(recipe, folds=3, resume=True, tell=lambda *_, **__: None)
    assert tried == []
    assert before == ((found.path / "cv.json").read_bytes(), (found.path / "predictions.jsonl").read_bytes())
    with pytest.raises(WeitiaoError, match=r"other_study[\s\S]*test_folds: 3 -> 4"):
        wt.cross_validate(recipe, folds=4, resume=True)


def test_a_fold_that_failed_costs_itself_alone_and_is_tried_anew(made, recipe, capsys, tmp_path):
    fails, tried = made
    fails["fold 1"] = Outcome(1.0, fault("not_judged", path="p", why="w").to_dict(), goes_on=False)
    file = tmp_path / "recipe.json"  # JSON is YAML, too
    file.write_text(json.dumps(recipe))
    assert weitiao(["cv", str(file), "--folds", "3"]) == 5
    said = capsys.readouterr()
    assert "failed  fold 1: [not_judged]" in said.out
    assert "1 of 3 folds are missing" in said.out.replace("\n", " ")
    assert "none are locked away" in said.err
    found = json.loads((tmp_path / "cv" / "cv.json").read_text())
    assert [row["state"] for row in found["folds"]] == ["judged", "failed", "judged"]
    assert found["metrics"]["tuned"]["accuracy"]["folds"] == 2
    assert found["all_rows"]["rows"] == 60
    assert "[not_judged]" in (tmp_path / "cv" / "cv.html").read_text(encoding="utf-8")
    asked = Recipe.read({**recipe, "data": {**recipe["data"], "split": {"test_folds": 3, "test_fold": 1}}})
    sides = split(check(asked.data, LABELLED, seed=asked.seed), asked.data, seed=asked.seed)
    for side, name in FILES.items():
        lines = stream_lines(tmp_path / "cv/rows/fold-1/data" / name)
        assert [line["line"] - 2 for line in lines] == sides[side].tolist()
    fails.clear(), tried.clear()
    assert weitiao(["cv", str(file), "--folds", "3", "--resume", "--json"]) == 0
    assert tried == ["fold 1"]
    assert json.loads(capsys.readouterr().out)["all_rows"]["rows"] == 90
    assert not (tmp_path / "cv" / "rows").exists()


# --- what cannot be


@pytest.mark.parametrize(
    ("words", "folds", "error"),
    [
        ([], 1, r"wrong_value.*test_folds.*1"),
        ([], 91, r"too_few_for_folds.*90 rows.*91"),
        (["data.split.group_by=user"], 18, r"too_few_for_folds.*17 groups"),
        (["data.split.time=day"], 30, r"too_few_for_folds.*31 in all"),
        (["data.split.column=part"], 5, r"wrong_value[\s\S]*leave out time, group_by, folds and test_folds"),
        (["data.split.folds=4"], 5, r"wrong_value[\s\S]*leave folds out"),
        (["data.test=other.csv"], 5, r"wrong_value[\s\S]*take one of the two"),
        (["data.train=gone.csv"], 5, r"file_missing.*gone\.csv"),
        (
            ["data.train=rare.csv"],
            5,
            r'fold_without_label.*"odd" has 4 rows in 4 groups that stay whole: 1 of 5',
        ),
        (
            ["data.train=rare.csv", "data.split.time=day"],
            5,
            r'fold_unfit.*fold 0 of 5[\s\S]*untrained_label[\s\S]*"odd"',
        ),
        (["model=bret"], 5, r"no_such_model.*bret"),
        (["trian.seed=4"], 5, r"unknown_key.*trian"),
        (["data.train=[]"], 5, r"missing_key.*data\.train"),
        (["data.split.validation=0.9"], 5, r"wrong_value[\s\S]*below 1"),
    ],
)
def test_what_is_wrong_for_all_stops_before_anything_is_trained(
    recipe, tmp_path, monkeypatch, words, folds, error
):
    monkeypatch.chdir(tmp_path)
    texts = ("seven seals were sold", "rain over Oslo", "my uncle owns a boat", "prime numbers thin out")
    odd = [{"text": text, "label": "odd", "day": str(90 + i)} for i, text in enumerate(texts)]
    write_csv(Path("rare.csv"), [{**row, "day": str(i)} for i, row in enumerate(reviews(90))] + odd)
    monkeypatch.setattr(importlib.import_module("weitiao.study.schedule"), "train_apart", None)
    with pytest.raises(WeitiaoError, match=error):
        wt.cross_validate(recipe, folds=folds, overrides=words)
    assert not list((tmp_path / "cv").glob("[!.]*"))


def test_the_page_is_whole_in_both_languages(made, recipe, monkeypatch):
    found = wt.cross_validate(recipe, folds=3, tell=lambda *_, **__: None)
    page = found.page.read_text(encoding="utf-8")
    assert page == folds_page(found.results)
    for said in (
        found.results["sentence"],
        "fold-2/report.html",
        "Nadeau",
        "none are locked away",
        "All rows",
    ):
        assert said in page
    assert "<script" not in page
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    chinese = folds_page(found.results)
    assert "交叉验证" in chinese
    assert "校正重抽样" in chinese
    assert "Over the folds" not in chinese


def test_nothing_that_deals_or_trains_sees_the_answers_of_its_test_rows(recipe, tmp_path):
    """With `stratify` off: the dealing knows no answers; and no answer of a test row reaches its own fold."""
    data = Recipe.read(recipe, ["data.split.stratify=false", "data.split.test_folds=3"]).data
    checked = check(data, LABELLED, seed=0)
    first = split(checked, data, seed=0)
    rows = read_rows(Path(data.train[0]))
    for row in first["test"].tolist():
        rows[row]["label"] = {"good": "bad", "bad": "good"}[rows[row]["label"]]
    other = data.model_copy(update={"train": [str(write_csv(tmp_path / "turned.csv", rows))]})
    again = check(other, LABELLED, seed=0)
    second = split(again, other, seed=0)
    assert {side: found.tolist() for side, found in first.items()} == {
        s: f.tolist() for s, f in second.items()
    }
    for side in ("train", "validation"):
        assert [checked.rows[i].values for i in first[side].tolist()] == [
            again.rows[i].values for i in second[side].tolist()
        ]


def read_rows(path: Path) -> list[dict[str, str]]:
    import csv

    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- the trainings themselves


def test_it_is_the_loop_that_one_would_write_to_the_last_bit_and_goes_on_after_a_signal(recipe, tmp_path):
    def tell(event, **facts):
        if event == "step" and facts["label"] == "fold 1":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(WeitiaoError, match=r"cv_stopped.*SIGINT: 1 of 3 folds") as stopped:
        wt.cross_validate(recipe, folds=3, tell=tell)
    assert stopped.value.exit_code == 130
    table = Path(recipe["data"]["train"])
    table.rename(table.with_suffix(".gone"))  # fold 2 has not begun
    found = wt.cross_validate(recipe, folds=3, resume=True, tell=lambda *_, **__: None)
    assert found.failed == []
    table.with_suffix(".gone").rename(table)
    for fold in range(3):
        words = [
            f"data.split.test_folds={3}",
            f"data.split.test_fold={fold}",
            f"output_dir={tmp_path}/mine-{fold}",
        ]
        mine = wt.train(recipe, overrides=words, tell=lambda *_, **__: None)
        theirs = found.run(fold)
        assert sha256(mine.folder.model / "model.safetensors") == sha256(
            theirs.folder.model / "model.safetensors"
        )
        assert (mine.path / "predictions.jsonl").read_bytes() == (
            theirs.path / "predictions.jsonl"
        ).read_bytes()
        assert mine.results["metrics"] == theirs.results["metrics"]
    assert len(found.predictions) == 90
    kept = {line["line"]: line["tuned"] for line in found.predictions}
    mine = {
        line["line"]: line["tuned"]
        for fold in range(3)
        for line in read_lines(tmp_path / f"mine-{fold}/predictions.jsonl")
    }
    assert kept == mine
