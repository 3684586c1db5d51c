"""The repaired copy: every change is said, nothing is lost, nothing is written over."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from weitiao.core.contracts import Record, Shape
from weitiao.core.errors import WeitiaoError
from weitiao.data import formats
from weitiao.data.clean import DEFAULT
from weitiao.data.doctor.fix import Fixed, repaired_copy
from weitiao.data.read import BadRow
from weitiao.data.shapes import CONVERSATION, LABELLED

COLUMNS = {"text": "review", "label": "stars"}


def reviews(path: Path, rows: list[dict[str, Any]], *bad: BadRow, **options: Any) -> Fixed:
    records = [Record(str(path), line, values) for line, values in enumerate(rows, start=2)]
    settings: dict[str, Any] = {
        "shape": LABELLED,
        "convert": lambda record: formats.convert(record, format="table", columns=COLUMNS),
        "texts": ["review"],
        "label": "stars",
    }
    return repaired_copy([*records, *bad], path, **(settings | options))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


ROWS = [
    {"id": " 7", "review": '  Gut\u200b  film,\u00a0"really" ', "stars": "postive"},
    {"id": "8", "review": "plain", "stars": "negative"},
    {"id": "9", "review": "PLAIN ", "stars": "negative"},
    {"id": "10", "review": " \u200b ", "stars": "negative"},
    {"id": "11", "review": "two\nlines, 中文", "stars": "positive"},
    {"id": "12", "review": "plain", "stars": "positive"},
]


def test_a_table_keeps_its_columns_and_every_change_is_said(tmp_path):
    path = tmp_path / "reviews.csv"
    fixed = reviews(path, ROWS, BadRow(str(path), 99, "2 cells", "a,b"), mapping={"postive": "positive"})
    assert fixed.path == tmp_path / "reviews.fixed.csv"
    assert table(fixed.path) == [
        {"id": " 7", "review": 'Gut film, "really"', "stars": "positive"},
        {"id": "8", "review": "plain", "stars": "negative"},
        {"id": "11", "review": "two\nlines, 中文", "stars": "positive"},
        {"id": "12", "review": "plain", "stars": "positive"},
    ]
    assert fixed.counts == {"kept": 4, "changed": 1, "duplicate": 1, "rejected": 2}
    assert fixed.done == {"control": 1, "whitespace": 1, "label": 1}
    first, second, third = lines(fixed.changes)
    assert (first["line"], first["column"], first["what"]) == (2, "review", ["control", "whitespace"])
    assert (first["before"], first["after"]) == (ROWS[0]["review"], 'Gut film, "really"')
    assert (second["what"], second["before"], second["after"]) == (["label"], "postive", "positive")
    assert (third["line"], third["what"]) == (4, ["duplicate left out"])
    assert [(row["line"], row["reason"]) for row in lines(fixed.rejected)] == [
        (5, "the text is empty"),
        (99, "2 cells"),
    ]
    assert lines(fixed.rejected)[0]["values"] == ROWS[3]
    assert fixed.first[0] == f"{path} line 2: control, whitespace in review"


def test_a_second_repair_of_the_copy_changes_nothing(tmp_path):
    fixed = reviews(tmp_path / "reviews.csv", ROWS, mapping={"postive": "positive"})
    again = reviews(tmp_path / "again.csv", table(fixed.path), mapping={"postive": "positive"})
    assert (again.changes, again.rejected) == (None, None)
    assert again.path.read_bytes() == fixed.path.read_bytes()
    assert sorted(path.name for path in tmp_path.glob("again*")) == ["again.fixed.csv"]


def test_an_existing_file_is_not_written_over(tmp_path):
    (tmp_path / "reviews.fixed.changes.jsonl").write_text("mine")
    with pytest.raises(WeitiaoError, match=r"\[wrong_usage\].*reviews\.fixed\.changes\.jsonl exists"):
        reviews(tmp_path / "reviews.csv", ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.fixed.changes.jsonl"]
    assert (tmp_path / "reviews.fixed.changes.jsonl").read_text() == "mine"


def test_a_failure_on_the_way_leaves_nothing(tmp_path):
    def convert(record: Record) -> Record:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        reviews(tmp_path / "reviews.csv", ROWS, convert=convert)
    assert list(tmp_path.iterdir()) == []


def test_personal_data_is_masked_only_when_asked_and_stays_out_of_the_list(tmp_path):
    rows = [{"review": "write to a.b@example.org", "stars": "x"}]
    assert table(reviews(tmp_path / "a.csv", rows).path) == rows
    fixed = reviews(tmp_path / "b.csv", rows, cleaners=[*DEFAULT, "personal"])
    assert table(fixed.path)[0]["review"] == "write to [EMAIL]"
    assert fixed.done == {"EMAIL": 1}
    written = "".join(path.read_text() for path in tmp_path.glob("b.fixed*"))
    assert "example.org" not in written
    assert lines(fixed.changes)[0]["what"] == ["1 e-mail addresses masked"]


def test_conversations_keep_their_form(tmp_path):
    def row(question: str, answer: str) -> dict[str, Any]:
        call = {"id": "x  y", "type": "function", "function": {"name": "f", "arguments": '{"a":  1}'}}
        turns = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "assistant", "content": answer},
        ]
        return {"id": " a ", "messages": turns}

    records = [
        Record("t.jsonl", 1, row(" hi  there", "cafe\u0301")),
        Record("t.jsonl", 2, row("hi there", "café")),
    ]
    options: dict[str, Any] = {"convert": lambda record: record, "texts": ["messages"]}
    assert isinstance(CONVERSATION, Shape)
    fixed = repaired_copy(records, tmp_path / "t.jsonl", shape=CONVERSATION, **options)
    assert lines(fixed.path) == [row("hi there", "café")]
    assert fixed.counts == {"kept": 1, "changed": 1, "duplicate": 1, "rejected": 0}
    assert lines(fixed.changes)[0]["what"] == ["unicode", "whitespace"] or lines(fixed.changes)[0][
        "what"
    ] == [
        "whitespace",
        "unicode",
    ]


def test_files_that_belong_together_share_what_was_seen(tmp_path):
    seen: set[bytes] = set()
    first = reviews(tmp_path / "a.csv", ROWS[1:2], seen=seen)
    second = reviews(tmp_path / "b.csv", ROWS[1:3], seen=seen)
    assert first.counts["kept"] == 1
    assert second.counts == {"kept": 0, "changed": 0, "duplicate": 2, "rejected": 0}


def test_rows_add_up_on_any_rows(tmp_path):
    import random

    rng = random.Random(0)
    cells = ["a", " a", "b\u200b", "", " ", "中 文", 'x,"y"\n z', "NA"]
    for number in range(20):
        rows = [{"review": rng.choice(cells), "stars": rng.choice(["p", "n", ""])} for _ in range(30)]
        counts = reviews(tmp_path / f"{number}.csv", rows).counts
        assert counts["kept"] + counts["duplicate"] + counts["rejected"] == 30


def test_the_copy_of_a_folder_of_pictures_names_them_from_where_it_lies(tmp_path):
    """What the way out leaves can be gone on with: every good picture is found again, the broken one is not among them."""
    import weitiao as wt
    from tests.pictures import class_folders

    own = class_folders(tmp_path / "own", 6)
    (own / "dark" / "broken.png").write_bytes(b"\x89PNG\r\n")
    (fixed,) = wt.check(str(own)).fix()
    assert fixed.counts["kept"] == 6
    assert fixed.counts["rejected"] == 1
    again = wt.check(str(fixed.path)).checked.rows
    assert sorted(Path(row.values["image"]).relative_to(own).as_posix() for row in again) == sorted(
        path.relative_to(own).as_posix() for path in own.rglob("*.png") if path.name != "broken.png"
    )
    assert {Path(row.values["image"]).parent.name == row.values["label"] for row in again} == {True}
    # A table names its pictures from the folder that it shares with its copy.
    (own / "rows.csv").write_text("image,label\ndark/001.png,dark\nbright/000.png,bright\n")
    (copied,) = wt.check(str(own / "rows.csv")).fix()
    assert [row["image"] for row in table(copied.path)] == ["dark/001.png", "bright/000.png"]
