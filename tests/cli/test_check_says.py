"""What `weitiao data check` prints: each thing once, however many rows it happened to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import reviews, write_csv
from weitiao.cli import run


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """The exit code and what `data check` prints, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: str) -> tuple[int, str]:
        code = run(["data", "check", *words])
        return code, capsys.readouterr().out

    return call


def test_what_happened_to_many_rows_is_said_once(check):
    rows = [{**row, "label": ("1", "1.0", "0")[i % 3]} for i, row in enumerate(reviews(60))]
    write_csv(Path("a.csv"), rows)
    code, said = check("a.csv")
    assert code == 0
    (line,) = [line for line in said.splitlines() if "read as" in line]
    assert line.strip() == (
        'a.csv line 3, 6, 9 and 17 more: repaired: label "1.0" read as "1", which is spelt so elsewhere'
    )


def test_what_is_true_of_every_row_names_none(check):
    rows = [{**row, "text": f"<p>{row['text']} no {i}</p><br>"} for i, row in enumerate(reviews(60))]
    write_csv(Path("a.csv"), rows)
    _, said = check("a.csv")
    every = "warning  HTML in the texts: 60 rows hold HTML tags. That is every row.\n         -> weitiao data check a.csv"
    assert every in said
    write_csv(Path("b.csv"), [*rows, {"text": "no tag", "label": "good"}])
    _, said = check("b.csv")
    assert re.search(r"60 rows hold HTML tags\.\n\s+b\.csv line 2, 3, ", said)
