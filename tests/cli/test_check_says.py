"""What `weitiao data check` prints: each thing once, however many rows it happened to."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

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


def test_the_task_that_learns_from_the_rows_is_named(check, monkeypatch):
    write_csv(Path("a.csv"), reviews(60))
    assert "The task text_classification learns from these rows." in check("a.csv")[1]
    Path("a.conll").write_text("".join(f"Ann{i} B-PER\nsings O\n\n" for i in range(60)))
    assert "The task token_classification learns from these rows." in check("a.conll")[1]
    write_csv(
        Path("c.csv"), [{"source": f"good morning {i}", "target": f"guten Morgen {i}"} for i in range(60)]
    )
    assert "The task seq2seq learns from these rows." in check("c.csv")[1]
    pairs = [{"prompt": f"morning {i}?", "chosen": "good", "rejected": "bad"} for i in range(60)]
    write_csv(Path("d.csv"), pairs)
    assert "The task dpo learns from these rows." in check("d.csv")[1]
    answers = [{"prompt": f"morning {i}?", "completion": "good", "label": "true"} for i in range(60)]
    write_csv(Path("e.csv"), answers)
    assert "The task kto learns from these rows." in check("e.csv")[1]
    for n in range(60):
        Image.new("RGB", (4, 4), (n, 0, 0)).save(f"{n}.png")
    write_csv(Path("b.csv"), [{"image": f"{n}.png", "label": "cat" if n % 2 else "dog"} for n in range(60)])
    code, said = check("b.csv", "--html", "b.html")
    assert "The task image_classification learns from these rows." in said
    assert code == 0
    assert json.loads(check("b.csv", "--json")[1])["diagnosis"]["task"] == "image_classification"


def test_every_fix_says_how_many_rows_it_changed(check):
    rows = reviews(40)
    for i, text in (
        (1, " two  spaces"),
        (2, "a caf\u00c3\u00a9 film"),
        (3, "<b>bold</b> film "),
        (4, "lost \ufffd"),
    ):
        rows[i]["text"] += text
    write_csv(Path("a.csv"), rows)
    _, said = check("a.csv", "--fix-with", "mojibake,personal")
    assert "rows changed by each repair: control 0, mojibake 1, unicode 0, whitespace 2, personal 0" in said
    _, said = check("a.fixed.csv", "--fix-with", "mojibake")
    assert "40 kept, 0 changed" in said
    assert "rows changed by each repair: control 0, mojibake 0, unicode 0, whitespace 0" in said
