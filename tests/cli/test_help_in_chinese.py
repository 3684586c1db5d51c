"""Help is said in the reader's language, every word of it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rich.cells import cell_len
from typer.main import get_command

from weitiao.cli import run
from weitiao.cli.translated import chinese, walk
from weitiao.cli.verbs import app
from weitiao.core import registry


def han(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)


def test_everything_that_help_says_has_its_chinese():
    verbs, words = chinese()["verbs"], chinese()["words"]
    said = dict(walk(get_command(app)))
    assert sorted(said) == sorted(verbs)
    texts = {param.help for verb in said.values() for param in verb.params if getattr(param, "help", None)}
    # Typer makes the last one when it is asked for.
    assert sorted(texts | {"Show this message and exit."}) == sorted(words)
    assert all(han(text) for text in [*verbs.values(), *words.values()])


@pytest.mark.parametrize("verb", ["train", "data check"])
def test_help_is_said_in_the_reader_s_language(verb, monkeypatch, capsys):
    english = dict(walk(get_command(app)))[verb].help.splitlines()[0]
    for lang, first in (("zh", chinese()["verbs"][verb].splitlines()[0]), ("en", english)):
        monkeypatch.setenv("WEITIAO_LANG", lang)
        assert run([*verb.split(), "--help"]) == 0
        said = capsys.readouterr().out
        assert first.split()[0] in said
        assert ("traceback。" in said) == ("显示本帮助" in said) == (lang == "zh")


@pytest.mark.parametrize(("shelf", "verb"), [("task", "tasks"), ("augmentation", "augmentations")])
def test_what_lies_on_a_shelf_is_said_in_chinese(shelf, verb, monkeypatch, capsys):
    told = chinese()[shelf]
    assert sorted(told) == sorted(registry.names(shelf))
    assert all(han(text) for text in told.values())
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    monkeypatch.setenv("COLUMNS", "200")
    assert run([verb]) == 0
    said = "".join(capsys.readouterr().out.split())
    assert all(text.split("（")[0] in said for text in told.values())


def test_help_in_chinese_opens_nothing_heavy():
    code = (
        "import os, sys; os.environ['WEITIAO_LANG'] = 'zh'\n"
        "from weitiao.cli import run\n"
        "run(['--help']); heavy = {'torch', 'transformers', 'numpy', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert "微调预训练模型的全程" in done.stdout


def test_what_stands_around_the_help_is_chinese_too(monkeypatch, capsys):
    verbs = dict(walk(get_command(app)))
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    monkeypatch.setenv("COLUMNS", "80")
    for path in ("weitiao", "data", "data check", "plan", "train"):
        verb = verbs[path]
        assert run([*path.split()[path == "weitiao" :], "--help"]) == 0
        said = capsys.readouterr().out
        for word in (
            "Usage",
            "Arguments:",
            "Options:",
            "Commands:",
            "[OPTIONS]",
            "[required]",
            "[default",
            "Example",
        ):
            assert word not in said, path
        assert said.startswith("用法：weitiao")
        assert "选项：\n" in said
        assert ("参数：\n" in said) == any(one.param_type_name == "argument" for one in verb.params)
        # A word that has no space in it, such as a path, may need more.
        assert all(cell_len(line) <= 80 or not han(line) for line in said.splitlines()), path


def test_defaults_and_bounds_are_told_in_chinese(monkeypatch, capsys):
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    assert run(["train", "--help"]) == 0
    said = capsys.readouterr().out
    assert "（默认：1；x>=1）" in said
    assert "（必填）" in said
    assert run(["train"]) == 2
    assert "weitiao train [选项] {recipe} [overrides]..." in capsys.readouterr().err
