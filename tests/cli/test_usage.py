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


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(
    ("words", "code", "names"),
    [
        ("data check folder.csv", "folder_for_rows", "folder.csv/rows.csv"),
        ("init folder.csv", "folder_for_rows", "folder.csv/rows.csv"),
        ("train folder.csv", "wrong_usage", "folder.csv/recipe.yaml"),
        ("data check broken.csv", "file_missing", "broken.csv"),
        ("data check C:\\mails.csv", "file_missing", "C:\\mails.csv"),
        ("init rows.csv -o rows.csv/recipe.yaml", "not_a_folder", "rows.csv/recipe.yaml"),
        ("predict folder.csv words", "no_run", "folder.csv"),
        ("fetch nosuch", "unknown_name", "minilm-l6"),
    ],
)
def test_files_and_folders_that_are_something_else(words, code, names, lang, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEITIAO_LANG", lang)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "broken.csv").symlink_to("nowhere.csv")
    (tmp_path / "rows.csv").write_text("text,label\na,x\nb,y\n", encoding="utf-8")
    assert run(words.split()) in (2, 3, 5)
    said = capsys.readouterr().err
    assert said.startswith(f"[{code}] ")
    assert names in said
    assert any("\u4e00" <= char <= "\u9fff" for char in said.splitlines()[0]) == (lang == "zh")
