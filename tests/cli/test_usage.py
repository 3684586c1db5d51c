"""Words that are no command: a code, both languages, the verb, option or key that is meant."""

from __future__ import annotations

import json

import pytest

from weitiao.cli import run

MEANT = [
    ("trian r.yaml", '"train"'),
    ("data chek x", '"check"'),
    ("r.yaml", "`weitiao train r.yaml`"),
    ("rows.csv", "`weitiao init rows.csv -o recipe.yaml`"),
    ("train r.yaml --quite", '"--quiet"'),
    ("train r.yaml --learning_rate 1e-4", "train.learning_rate="),
    ("train --epochs 3 r.yaml", "train.num_train_epochs="),
    ("compare r.yaml --lora-r 8", "method.r="),
    ("train r.yaml --nonsense", "`weitiao train -h`"),
    ("train r.yaml --json=1", "--json"),
    ("plan r.yaml --nproc", "--nproc"),
    ("plan r.yaml --nproc 0", "1"),
    ("chat m --temperature warm", "'warm'"),
    ("predict", '"run"'),
    ("methods lora extra", "extra"),
]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(("words", "names"), MEANT)
def test_what_is_no_command_is_told_with_what_is_meant(words, names, lang, capsys, monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", lang)
    assert run(words.split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("[wrong_usage] ")
    assert names in said.err
    for line in said.err.splitlines():
        assert any("\u4e00" <= char <= "\u9fff" for char in line) == (lang == "zh"), line


def test_a_wrong_option_is_json_where_json_is_asked_for(capsys):
    assert run(["plan", "r.yaml", "--nproc", "two", "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["error"] == "wrong_usage"


def test_no_word_at_all_is_the_help(capsys):
    assert run([]) == 2
    assert "Commands:" in capsys.readouterr().err
