"""A way out that is followed reads the file as it was read when it was given."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from weitiao.cli import run as cli
from weitiao.core.recipe import Data
from weitiao.data import formats
from weitiao.data.read_as import read_as

ROWS = "q,verdict\na  fine film,x\nä dull one,y\n,x\n"
OPTIONS = ["--columns", "text=q,label=verdict", "--encoding", "latin-1"]


def test_options_are_those_that_are_not_found_without_being_said():
    assert read_as(Data(train=["x.csv"])) == ""
    told = Data(train=["x.csv"], columns={"text": "my q"}, format="table", encoding="big5", decimal="comma")
    found = shlex.split(read_as(told, task="text_regression"))
    assert found == [
        *("--task", "text_regression", "--columns", "text=my q", "--format", "table"),
        *("--encoding", "big5", "--decimal", "comma"),
    ]


def test_what_the_doctor_offers_can_be_done(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("odd.csv").write_text(ROWS, encoding="latin-1")
    assert cli(["data", "check", "odd.csv", *OPTIONS]) == 3
    offered = set(re.findall("-> weitiao (data check .*--fix)$", capsys.readouterr().out, re.MULTILINE))
    assert offered == {f"data check odd.csv {shlex.join(OPTIONS)} --fix"}
    assert cli(shlex.split(offered.pop())) == 0
    assert Path("odd.fixed.csv").read_text(encoding="utf-8") == "q,verdict\na fine film,x\nä dull one,y\n"


def test_what_a_refused_recipe_offers_can_be_done(classify, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("odd.csv").write_text(ROWS, encoding="latin-1")
    data = {"train": ["odd.csv"], "columns": {"text": "q", "label": "verdict"}, "encoding": "latin-1"}
    Path("recipe.yaml").write_text(json.dumps({**classify(), "data": data}))
    assert cli(["train", "recipe.yaml"]) == 3
    (way,) = re.findall("`weitiao (data check .*?)`", capsys.readouterr().err)
    assert cli(shlex.split(way.replace("FILE", "odd.csv"))) == 0
    assert Path("odd.fixed.csv").exists()


@pytest.mark.parametrize(
    ("found", "text", "label"),
    [
        (["Message", "label"], "Message", ""),
        (["Category", "Message"], "Message", "Category"),
        (["email", "body", "class"], "body", "class"),
        (["id", "user", "mail", "label"], "mail", ""),
        (["邮件", "类别"], "邮件", "类别"),
        (["texts", "lable"], "texts", "lable"),
    ],
)
def test_names_that_people_use_count_before_mistyped_ones(found, text, label):
    shape, name, columns = formats.guess(found, columns={})
    assert (shape.name, name) == ("labelled", "table")
    assert columns == {"text": text, **({"label": label} if label else {})}


def test_columns_that_nobody_knows_are_told_the_likeliest(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("odd.csv").write_text(
        "nr,our words,class\n1,a rather long text that stands here,x\n2,another long text,y\n"
    )
    assert cli(["data", "check", "odd.csv"]) == 3
    said = capsys.readouterr().err
    (way,) = re.findall("Then `(--columns .*?)`", said)
    assert "known by other names, too (text: sentence" in said
    assert cli(["data", "check", "odd.csv", *shlex.split(way)]) == 0
