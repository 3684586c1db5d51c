"""Raw mails, as they lie in a mailbox: headers, HTML, quoted-printable, stray bytes, and one that is very long."""

from __future__ import annotations

import csv
import json
import quopri
import random
from pathlib import Path

import pytest

import weitiao as wt
from weitiao.core.files import read_lines

WORDS = [
    "meeting",
    "order",
    "invoice",
    "offer",
    "update",
    "project",
    "report",
    "team",
    "account",
    "password",
    "server",
    "patch",
    "review",
    "click",
]
LONG = 4000  # words


def mails(count: int) -> list[dict[str, str]]:
    rng = random.Random(0)
    rows = []
    for i in range(count):
        words = " ".join(rng.choice(WORDS) for _ in range(LONG if i == 1 else rng.randint(20, 60)))
        sort, body = "plain", f"{words}\r\n\r\n-- \r\nyours\r\n"
        if i % 4 == 1:
            sort, body = "html", f"<html><style>p {{}}</style><p>{words}</p><br><!-- {i} --></html>"
        elif i % 4 == 2:
            sort, body = "plain", quopri.encodestring(f"café = {words}".encode("latin-1")).decode()
        elif i % 4 == 3:
            body = f"{words} \ufffd cafÃ© \x07\x00" if i == 3 else f"{words} \ufffd cafÃ© \x07"
        head = f"From: a{i}@example.org\r\nSubject: {words[:20]}\r\nContent-Type: text/{sort}"
        rows.append({"mail": f"{head}\r\n\r\n{body}", "folder": ("spam", "ham")[i % 2], "user": f"u{i % 9}"})
    return rows


@pytest.fixture
def box(tmp_path: Path) -> Path:
    rows = mails(120)
    with (tmp_path / "mails.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / "mails.json").write_text("".join(json.dumps(row, indent=1) + "\n" for row in rows))
    return tmp_path


COLUMNS = {"text": "mail", "label": "folder"}


def test_mails_are_the_same_rows_in_a_table_and_as_json(box):
    found = [wt.check(box / name, columns=COLUMNS) for name in ("mails.csv", "mails.json")]
    texts = [[row.values["text"] for row in one.checked.rows] for one in found]
    assert texts[0] == texts[1] == [row["mail"] for row in mails(120)]
    codes = {one.code: one for one in found[0].diagnosis.findings}
    assert {"markup", "lost_characters", "broken_characters", "personal", "untidy"} <= set(codes)
    assert codes["personal"].count == 120
    assert codes["personal"].places == []
    (copy,) = found[0].fix(["html", "mojibake"])
    assert copy.counts == {"kept": 120, "changed": 120, "duplicate": 0, "rejected": 0}
    assert (copy.mended["html"], copy.mended["mojibake"], copy.mended["control"]) == (30, 30, 30)
    again = {one.code for one in wt.check(copy.path, columns=COLUMNS).diagnosis.findings}
    assert not again & {"markup", "broken_characters", "untidy"}
    assert "lost_characters" in again


def test_a_run_on_mails_says_how_long_they_were(box, bert):
    run = wt.train(
        {
            "model": bert,
            "task": "text_classification",
            "method": "head",
            "data": {"train": str(box / "mails.csv"), "columns": COLUMNS, "split": {"group_by": "user"}},
            "train": {"max_steps": 1, "bf16": False, "per_device_train_batch_size": 4},
            "evaluate": {"resamples": 100, "untuned": False, "baseline": "none"},
            "output_dir": str(box / "run"),
        }
    )
    tokens = run.folder.json("data/ledger.json")["tokens"]
    assert tokens["max"] > LONG > tokens["limit"]
    assert tokens["truncated_rows"] > 10
    groups = {line["group"] for line in read_lines(run.path / "predictions.jsonl")}
    assert 1 <= len(groups) <= 2, "of nine users"
    assert [answer["label"] in ("spam", "ham") for answer in run.predict([mails(2)[1]["mail"]])] == [True]
