"""Whoever reads Chinese gets no English sentence: everything that the verbs print, on the way from data to answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import BAD, FILL, GOOD, reviews, write_csv
from weitiao.cli import run

RECIPE = """\
model: {model}
task: text_classification
method: head
output_dir: run
data: {{train: rows.csv}}
train: {{max_steps: 2, bf16: false, per_device_train_batch_size: 8}}
evaluate: {{resamples: 100}}
"""


def english(said: str) -> list[str]:
    """Three or more Latin words in a row, outside paths, keys, commands, what is quoted, and the rows themselves."""
    data = {"bad", "good", *GOOD, *BAD, *FILL}
    found = []
    for line in said.splitlines():
        bare = re.sub(r"weitiao( [a-z]+)+|`[^`]*`|\"[^\"]*\"|'[^']*'|\S*[/._=-]\S*", "|", line)
        words = [
            word if word.lower() not in data else "|" for word in re.findall(r"[A-Za-z']+|[^A-Za-z\s]+", bare)
        ]
        found += re.findall(r"[A-Za-z']{2,}(?: [A-Za-z']{2,}){2,}", " ".join(words))
    return found


def test_what_is_english_is_found():
    assert english("      1,000 rows read (utf-8)\n  no runs here yet; `weitiao demo` makes one") == [
        "no runs here yet"
    ]
    assert not english("请运行 `weitiao data check FILE`，或见 docs/data.md；great film was dull")


@pytest.fixture
def folder(bert, tmp_path, monkeypatch) -> Path:
    """A table with a few faults, a recipe, and a reader of Chinese in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    rows = reviews(60)
    write_csv(Path("rows.csv"), rows)
    write_csv(Path("odd.csv"), [*rows, {"text": " ", "label": "good"}, {**rows[0], "label": "good"}])
    Path("recipe.yaml").write_text(RECIPE.format(model=bert), encoding="utf-8")
    return tmp_path


@pytest.mark.whole
def test_the_way_from_data_to_answers_is_told_in_chinese(folder, capsys):
    for words, code, says in (
        ("data check odd.csv", 3, "隔离"),
        ("data check odd.csv --fix", 0, "各项修复改动的行数"),
        ("check recipe.yaml", 0, "相符"),
        ("train recipe.yaml", 0, "锁定的测试数据"),
        ("train recipe.yaml", 5, "解决办法"),
        ("runs --folder .", 0, "已评估"),
        ("predict run --file rows.csv --output said.csv", 0, "已写入"),
        ("data show recipe.yaml --rows 1", 0, "特殊词元"),
        ("methods bitfit", 0, "何时使用"),
        ("plan --params 65e9", 0, "主副本"),
        ("doctor", None, "language"),
    ):
        ended = run(words.split())
        said = capsys.readouterr()
        whole = said.err + (said.out.partition("设置（")[0] if words.startswith("methods") else said.out)
        assert code in (ended, None), (words, whole)
        assert says in whole, words
        assert english(whole) == [], words


def test_a_plan_is_told_in_chinese(folder, capsys):
    assert run(["plan", "recipe.yaml"]) == 0
    said = capsys.readouterr()
    assert "激活值" in said.out
    assert english(said.out + said.err) == []
