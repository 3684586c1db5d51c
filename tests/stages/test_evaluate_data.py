"""A run is judged by other rows than its locked ones: by the same code, beside its own results, every row accounted for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

import weitiao as wt
from tests.conftest import (
    asked,
    dialogues,
    many_labels,
    rated,
    reviews,
    small_run,
    tagged,
    write_csv,
    write_jsonl,
)
from weitiao.cli import run as cli
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.core.results import Results
from weitiao.stages.kept_rows import kept

pytestmark = pytest.mark.whole  # a training each

ROWS = {
    "text_classification": reviews,
    "multi_label_classification": many_labels,
    "text_regression": rated,
    "token_classification": tagged,
    "question_answering": asked,
    "sft": dialogues,
}
METRICS = ["kappa", "brier", "mcc", "balanced_accuracy", "f1_micro", "f1_binary", "log_loss", "roc_auc"]


@pytest.fixture(scope="module")
def trained(bert, llama, tmp_path_factory):
    """A run of each task, made when it is asked for."""
    made: dict[str, wt.Run] = {}

    def of(task: str) -> wt.Run:
        if task not in made:
            folder = tmp_path_factory.mktemp(task)
            rows = write_jsonl(folder / "rows.jsonl", ROWS[task](60))
            judge = {"max_new_tokens": 2, "samples": 1}
            if task == "text_classification":
                judge["metrics"] = METRICS
            base = llama if task == "sft" else bert
            recipe = small_run(base, task, rows, folder / "run", batch=8, judge=judge)
            made[task] = wt.train(
                recipe(max_steps=3, eval_strategy="no", load_best_model_at_end=False, learning_rate=1e-2)
            )
        return made[task]

    return of


@pytest.fixture
def run(trained, tmp_path) -> wt.Run:
    """A judged run of reviews, that nothing else writes into."""
    ignored = shutil.ignore_patterns("evaluations")
    shutil.copytree(trained("text_classification").path, tmp_path / "run", ignore=ignored)
    return wt.load(tmp_path / "run")


def test_the_locked_rows_given_again_get_the_locked_numbers(run, tmp_path):
    own = run.results
    locked = [dict(record.values) for record, _ in kept(run.folder, "test")]
    found = wt.evaluate(run, write_csv(tmp_path / "again.csv", locked)).results
    for key in ("metrics", "comparisons", "labels", "primary", "cut"):
        assert found[key] == own[key], key
    for key in ("confusion", "per_class"):
        assert found["sections"][key] == own["sections"][key], key
    assert found["given"] | {"name": ""} == {
        "name": "",
        "files": [str(tmp_path / "again.csv")],
        "total": len(locked),
        "counts": {"kept": len(locked)},
        "seen": 0,
        "ungrouped": None,
        "unknown": [],
    }
    assert run.results == own
    assert run.folder.json("data/ledger.json")["files"][0]["path"] != str(tmp_path / "again.csv")


@pytest.mark.parametrize("task", ROWS)
def test_every_task_is_judged_by_new_rows_in_a_place_of_their_own(task, trained, tmp_path):
    run = trained(task)
    before = {path: path.read_bytes() for path in run.path.glob("*.*") if path.is_file()}
    new = write_jsonl(tmp_path / "new.jsonl", ROWS[task](30, seed=5))
    found = wt.evaluate(run, new)
    place = run.path / "evaluations" / "new"
    assert found.place == place
    assert found.report == place / "report.html"
    assert found.report.is_file()
    results = json.loads((place / "results.json").read_text())
    Results.model_validate_json(json.dumps(results), strict=True)
    assert set(results["metrics"]) == set(run.results["metrics"])
    ledger = json.loads((place / "data/ledger.json").read_text())
    assert sum(ledger["counts"].values()) == ledger["total"] == 30
    assert len(read_lines(place / "predictions.jsonl")) == results["rows"] > 10
    assert f"Judged by {new}: {results['rows']} of 30 rows." in found.remarks
    assert {path: path.read_bytes() for path in run.path.glob("*.*") if path.is_file()} == before


def test_rows_that_were_trained_on_or_chose_are_left_out_and_counted(run, tmp_path):
    sides = {
        side: [dict(row.values) for row, _ in kept(run.folder, side)] for side in ("train", "validation")
    }
    fresh = reviews(8, seed=9)
    shouted = {**sides["train"][0], "text": sides["train"][0]["text"].upper()}
    rows = [*sides["train"][1:4], *sides["validation"][:2], *fresh, shouted]
    found = wt.evaluate(run, write_csv(tmp_path / "mixed.csv", rows))
    given = found.results["given"]
    assert given["seen"] == 6
    assert given["counts"] == {"kept": 8, "dropped": 6}
    assert found.results["rows"] == 8
    left = {(row["line"], row["reason"]) for row in read_json(found.place / "data/ledger.json")["rows"]}
    assert left == {
        *((line, "the run has seen it: a row of its train rows asks the same") for line in (2, 3, 4, 15)),
        *((line, "the run has seen it: a row of its validation rows asks the same") for line in (5, 6)),
    }
    assert any("6 rows were left out: the run was trained on them" in line for line in found.remarks)
    with pytest.raises(WeitiaoError) as error:
        wt.evaluate(run, tmp_path / "mixed.csv", strict=True)
    assert error.value.code == "bad_rows"
    assert "line 4: the run has seen it" in str(error.value)


def test_rows_of_unknown_users_count_alone_and_rows_near_to_training_are_no_matter_of_the_split(
    run, tmp_path
):
    asked = run.recipe
    split = asked.data.split.model_copy(update={"group_by": "user"})
    own = asked.model_copy(update={"data": asked.data.model_copy(update={"split": split})})
    (run.path / "recipe.yaml").write_text(own.to_yaml(), encoding="utf-8")
    rows = [{**row.values, "text": row.values["text"] + " 2"} for row, _ in kept(run.folder, "train")]
    found = wt.evaluate(run.path, write_csv(tmp_path / "alone.csv", rows))
    assert found.results["given"]["ungrouped"] == "user"
    assert any(line.startswith("No column user there (data.split.group_by)") for line in found.remarks)
    (near,) = (one for one in found.results["findings"] if one["name"] == "near_training")
    assert near["numbers"]["seen"] == len(rows)
    assert "data.split" not in near["advice"]
    assert "seen_in_training" not in {one["name"] for one in found.results["findings"]}
    named = [{**row, "user": f"u{number % 3}"} for number, row in enumerate(rows)]
    found = wt.evaluate(run.path, write_csv(tmp_path / "users.csv", named))
    assert found.results["given"]["ungrouped"] is None
    assert not any("data.split.group_by" in line for line in found.remarks)
    assert {row["group"] for row in read_lines(found.place / "predictions.jsonl")} == {0, 1, 2}


def test_nothing_but_seen_rows_judges_nothing_and_leaves_nothing(run, tmp_path, capsys):
    rows = [dict(row.values) for row, _ in kept(run.folder, "train")]
    file = write_csv(tmp_path / "all.csv", rows)
    assert cli(["evaluate", str(run.path), "--data", str(file)]) == 3
    said = capsys.readouterr().err
    assert f"{len(rows)} of {len(rows)} rows cannot be used" in said
    assert "the run has seen it" in said
    assert not (run.path / "evaluations").exists()


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "gz", "table", "dicts", "files"])
def test_whatever_training_reads_judges(form, run, tmp_path):
    rows = reviews(12, seed=4)
    table = pd.DataFrame(rows)
    given: object = rows
    if form == "csv":
        given = write_csv(tmp_path / "new.csv", rows)
    elif form == "jsonl":
        given = write_jsonl(tmp_path / "new.jsonl", rows)
    elif form == "parquet":
        table.to_parquet(tmp_path / "new.parquet")
        given = str(tmp_path / "new.parquet")
    elif form == "gz":
        table.to_csv(tmp_path / "new.csv.gz", index=False)
        given = tmp_path / "new.csv.gz"
    elif form == "table":
        given = table
    elif form == "files":
        given = [write_csv(tmp_path / "a.csv", rows[:5]), write_csv(tmp_path / "b.csv", rows[5:])]
    found = wt.evaluate(run, given, name="one")
    assert found.place == run.path / "evaluations/one"
    assert found.results["rows"] == 12
    said = [row["tuned"]["label"] for row in read_lines(found.place / "predictions.jsonl")]
    assert said == [told["label"] for told in run.predict([row["text"] for row in rows])]


def test_columns_of_other_names_are_named(run, tmp_path, capsys):
    rows = [{"body": row["text"], "stars": row["label"]} for row in reviews(10, seed=4)]
    file = write_csv(tmp_path / "other.csv", rows)
    assert cli(["evaluate", str(run.path), "--data", str(file)]) == 3
    assert "other.csv" in capsys.readouterr().err
    words = ["--columns", "text=body,label=stars", "--name", "named"]
    assert cli(["evaluate", str(run.path), "--data", str(file), *words]) == 0
    assert read_json(run.path / "evaluations/named/results.json")["rows"] == 10


def test_rows_that_cannot_be_used_are_in_the_ledger(run, tmp_path, capsys):
    rows = [*reviews(10, seed=4), {"text": "", "label": "good"}, {"text": "fine words", "label": ""}]
    file = write_csv(tmp_path / "holes.csv", rows)
    assert cli(["evaluate", str(run.path), "--data", str(file)]) == 0
    assert "2 rows cannot be used and were left out" in " ".join(capsys.readouterr().out.split())
    ledger = read_json(run.path / "evaluations/holes/data/ledger.json")
    assert ledger["counts"] == {"kept": 10, "quarantined": 2}
    assert [row["line"] for row in read_lines(run.path / "evaluations/holes/data/quarantine.jsonl")] == [
        12,
        13,
    ]
    assert cli(["evaluate", str(run.path), "--data", str(file), "--strict"]) == 3


def test_other_rows_do_not_take_the_place_of_those_that_were_judged(run, tmp_path):
    for folder, seed in (("may", 4), ("june", 5)):
        (tmp_path / folder).mkdir()
        write_csv(tmp_path / folder / "new.csv", reviews(10, seed=seed))
    first = wt.evaluate(run, tmp_path / "may/new.csv")
    wt.evaluate(run, tmp_path / "may/new.csv")
    with pytest.raises(WeitiaoError) as error:
        wt.evaluate(run, tmp_path / "june/new.csv")
    assert error.value.code == "evaluation_there"
    assert first.results["given"]["files"] == [str(tmp_path / "may/new.csv")]
    assert wt.evaluate(run, tmp_path / "june/new.csv", name="june").place.name == "june"


def broken(tmp_path: Path) -> dict[str, object]:
    """What is no rows to judge by -> what is given."""
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("text,label\n")
    (tmp_path / "shape.csv").write_text("a,b\n1,2\n")
    (tmp_path / "alone.csv").write_text("text\nsome words\n")
    (tmp_path / "odd.xyz").write_text("text,label\n")
    (tmp_path / "no.json").write_text("{")
    write_csv(tmp_path / "useless.csv", [{"text": "", "label": "good"}, {"text": " ", "label": "bad"}])
    return {
        "empty.csv": "empty_file",
        "header.csv": "empty_file",
        "shape.csv": "no_asked_column",
        "alone.csv": "no_asked_column",
        "odd.xyz": "unknown_format",
        "no.json": "bad_json",
        "useless.csv": "bad_rows",
        "missing.csv": "file_missing",
    }


def test_what_is_no_rows_is_refused_with_a_code(run, tmp_path, capsys):
    for name, code in broken(tmp_path).items():
        with pytest.raises(WeitiaoError) as error:
            wt.evaluate(run, tmp_path / name)
        assert (name, error.value.code) == (name, code)
        assert cli(["evaluate", str(run.path), "--data", str(tmp_path / name)]) == error.value.exit_code
        assert name in capsys.readouterr().err
    for rows in ([], pd.DataFrame({"text": [], "label": []}), 7, [1, 2], {"text": "x"}):
        with pytest.raises(WeitiaoError):
            wt.evaluate(run, rows)
    assert not (run.path / "evaluations").exists()


@pytest.mark.parametrize("rows", [1, 2])
def test_one_row_or_one_class_has_values_or_reasons(rows, run, tmp_path, capsys):
    file = write_csv(
        tmp_path / "few.csv", [row for row in reviews(30, seed=4) if row["label"] == "good"][:rows]
    )
    assert cli(["evaluate", str(run.path), "--data", str(file)]) == 0
    said = capsys.readouterr().out
    assert "nan" not in said.replace("nance", "")
    results = read_json(run.path / "evaluations/few/results.json")
    Results.model_validate_json(json.dumps(results), strict=True)
    for system in results["metrics"].values():
        assert all(one["value"] is not None or one["why"] for one in system.values())
    assert results["metrics"]["tuned"]["roc_auc"]["why"] == "only one class"
    assert (
        "nan" not in (run.path / "evaluations/few/report.html").read_text(encoding="utf-8").split("<style")[0]
    )


def test_options_of_data_alone_and_odd_names_are_refused(run, tmp_path, capsys):
    for words in (["--strict"], ["--name", "x"], ["--columns", "text=body"]):
        assert cli(["evaluate", str(run.path), *words]) == 2
        assert words[0] in capsys.readouterr().err
    file = write_csv(tmp_path / "new.csv", reviews(10, seed=4))
    for name in ("../out", "a/b", ".hidden", " "):
        assert cli(["evaluate", str(run.path), "--data", str(file), "--name", name]) == 2
