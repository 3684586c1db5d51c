"""The verb `compare`: its table, its exit code, what scripts get.  Trainings are in tests/study/test_compare.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.study.test_table import Made
from weitiao import api
from weitiao.cli import run
from weitiao.core.errors import fault
from weitiao.core.files import write_json
from weitiao.terminal.show import Show

LONG = "lora:target_modules=[query,value]:r=8:lora_dropout=0.1"


@pytest.fixture
def compared(tmp_path, monkeypatch):
    """`compared(failing=True)`: what `weitiao compare` is given back, made by hand."""

    def compared(*, failing: bool) -> Path:
        made = Made(tmp_path)
        made.labels("full", set(range(80)))
        made.labels(LONG, set(range(60)))
        if failing:
            failure = fault(
                "not_finite", step=1, what="the loss [nan]", rows="a.csv line 2, " * 40, tensor=""
            )
            made.entry("broken", failure=failure.to_dict())
        write_json(tmp_path / "comparison.json", made.found())
        monkeypatch.setattr(api, "compare", lambda recipe, **words: api.Comparison(tmp_path))
        return tmp_path

    return compared


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_table_holds_every_method_and_fits(compared, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    folder = compared(failing=True)
    assert run(["compare", "recipe.yaml", "--quiet"]) == 5
    out = capsys.readouterr().out
    table = out[: out.index("failed  broken")].splitlines()
    assert max(map(len, table)) <= int(columns)
    cells = "".join(line.split(" ")[0] for line in table)
    assert LONG in cells.replace("\n", ""), "a long label is folded, not cut"
    for shown in ("0.800 0.750-0.850", "-0.200", "<0.001", "0.001", "9.5/20", "812", "100 locked test rows"):
        assert shown in out
    assert "[not_finite] step 1: the loss [nan] is not a finite number" in out
    assert max(map(len, out.splitlines())) < 300, "a failure takes one line"
    assert "full scores best: accuracy 0.800" in out
    assert f"page: {folder}/comparison.html" in out


def test_a_score_without_an_interval_says_why_below_the_table(compared, capsys, monkeypatch):
    """In its cell the sentence would leave no room for the others."""
    monkeypatch.setenv("COLUMNS", "80")
    file = compared(failing=False) / "comparison.json"
    found = json.loads(file.read_text())
    why = "all draws of rows give one value: no interval, whatever is drawn of them"
    found["methods"][0]["score"] |= {"low": None, "high": None, "why": why}
    write_json(file, found)
    assert run(["compare", "recipe.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = next(line for line in lines if line.startswith("full"))
    assert "-0.200" in "".join(lines)
    assert table.split()[1] == "0.800"
    assert "9.5/20" in table
    assert f"full: {why}" in lines


def test_the_exit_code_says_whether_all_went_well(compared, capsys):
    compared(failing=False)
    assert run(["compare", "recipe.yaml"]) == 0
    compared(failing=True)
    assert run(["compare", "recipe.yaml"]) == 5


def test_scripts_get_the_file(compared, capsys):
    folder = compared(failing=True)
    assert run(["compare", "recipe.yaml", "--json"]) == 5
    said = capsys.readouterr()
    assert said.err == ""
    assert json.loads(said.out) == json.loads((folder / "comparison.json").read_text())


def test_a_mistyped_name_is_told_with_the_nearest(tmp_path, monkeypatch, capsys, bert):
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(f"model: {bert}\ntask: text_classification\noutput_dir: out\n")
    assert run(["compare", "recipe.yaml", "method=full,lroa", "--json"]) == 2
    said = json.loads(capsys.readouterr().err)
    assert said["error"] == "unknown_name"
    assert 'Did you mean "lora"?' in said["message"]
    assert run(["compare", "recipe.yaml"]) == 2
    assert "too_few_methods" in capsys.readouterr().err
    assert not Path("out").exists()


def test_what_happens_goes_to_standard_error(compared, capsys):
    results = json.loads((compared(failing=True) / "comparison.json").read_text())
    told = Show().tell
    told("comparing", methods=["full", "[b]"], splits={"train": 1400, "test": 300})
    told("entrant", label="lora:target_modules=[query]", place=2, all=3)
    told("step", label="full", done=0.5, loss=0.25)
    for row in results["methods"]:
        told("compared", row=row, metric="accuracy", kept=row["label"] == "full")
    said = capsys.readouterr()
    assert said.out == ""
    for shown in ("compare full, [b]", "train 1,400, test 300", "2 of 3  lora:target_modules=[query]"):
        assert shown in said.err
    assert "full: accuracy 0.800, trained in 9.5 s  (judged before)" in said.err
    assert "failed  [not_finite]" in said.err
    Show(quiet=True).tell("comparing", methods=["full"], splits={})
    assert capsys.readouterr().err == ""
