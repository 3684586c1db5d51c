"""A folder of pictures: one folder a label, broken pictures named."""

from __future__ import annotations

import hashlib
import json
import os
import random

import pytest

from tests.data.read.conftest import bad, refused, rows
from weitiao.core.recipe import Data
from weitiao.data.check import inspect
from weitiao.data.pictures.opening import Unreadable, opened
from weitiao.data.read import read, read_file
from weitiao.data.shapes import PICTURED

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def pictures(tmp_path):
    root = tmp_path / "pictures"
    for name in ("dog/b.png", "cat/2.png", "cat/10.jpg", "cat/more/x.gif", "dog/a.bmp"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = random.Random(name).randbytes(3 * 40 * 30)
        Image.frombytes("RGB", (40, 30), noise).save(path)
    return root


def test_class_folders_are_labels_in_sorted_order(pictures):
    source = read_file(pictures)
    names = ["cat/10.jpg", "cat/2.png", "cat/more/x.gif", "dog/a.bmp", "dog/b.png"]
    assert rows(source) == [(n, name, name[:3]) for n, name in enumerate(names, start=1)]
    assert bad(source) == []
    assert (source.format, source.columns, source.notes) == ("images", ["image", "label"], ())
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0{hashlib.sha256((pictures / name).read_bytes()).hexdigest()}\n".encode())
    assert source.sha256 == digest.hexdigest()
    assert len(rows(read([f"{pictures}#2"])[0])) == 2


def test_what_is_no_picture_or_a_broken_one_is_a_bad_row(pictures):
    jpeg = (pictures / "cat/10.jpg").read_bytes()
    (pictures / "cat/10.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    png = bytearray((pictures / "dog/b.png").read_bytes())
    png[len(png) // 2] ^= 1
    (pictures / "dog/b.png").write_bytes(png)
    (pictures / "cat/2.png").write_bytes(b"words")
    (pictures / "dog/list.txt").write_text("b.png")
    (pictures / "loose.png").write_bytes((pictures / "dog/a.bmp").read_bytes())
    (pictures / ".hidden").write_text("")
    (pictures / ".folder").mkdir()
    (pictures / ".folder/x.png").write_text("")
    (pictures / "dog/z\udcff.png").write_bytes((pictures / "dog/a.bmp").read_bytes())
    assert read_file(pictures).notes == ("2 hidden files or folders were not looked at",)
    ledger = inspect(Data(train=[str(pictures)]), PICTURED).ledger
    assert ledger.counts() == {"kept": 2, "quarantined": 6}
    assert [(row["line"], row["reason"].split(" (")[0]) for row in ledger.rows] == [
        (1, "cat/10.jpg: a broken picture"),
        (2, "cat/2.png: a broken picture"),
        (5, "dog/b.png: a broken picture"),
        (6, "dog/list.txt: no picture"),
        (7, "dog/z\\udcff.png: its name is not UTF-8"),
        (8, "loose.png: it lies in no folder that names its label"),
    ]


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv"])
def test_a_table_in_the_folder_names_its_pictures(pictures, name):
    table = "file_name,label\ndog/a.bmp,x\ncat/2.png,y\nnone.png,y\n../out.png,y\n"
    lines = [line.split(",") for line in table.split()[1:]]
    said = "\n".join(json.dumps({"file_name": file, "label": label}) for file, label in lines)
    (pictures / name).write_text(table if name.endswith(".csv") else said, encoding="utf-8")
    source = read_file(pictures)
    assert source.columns == ["image", "label"]
    assert "3 pictures have no row" in source.notes[0]
    found = inspect(Data(train=[str(pictures)]), PICTURED)
    assert [(row.values["image"], row.values["label"]) for row in found.rows] == [
        (str(pictures / "dog/a.bmp"), "x"),
        (str(pictures / "cat/2.png"), "y"),
    ]
    missing, outside = (row["reason"] for row in found.ledger.rows)
    assert "there is no picture" in missing
    assert "lies outside of" in outside
    assert found.ledger.rows[0]["file"] == str(pictures / name)


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.txt").write_text("words")
    with refused("folder_for_rows", "folder of pictures"):
        read_file(tmp_path)


def test_what_is_no_file_is_a_bad_row_and_nothing_waits_for_it(pictures):
    os.mkfifo(pictures / "dog/pipe.png")
    (pictures / "dog/gone.png").symlink_to(pictures / "nowhere.png")
    (pictures / "dog/zero.png").symlink_to("/dev/zero")
    ledger = inspect(Data(train=[str(pictures)]), PICTURED).ledger
    assert ledger.counts() == {"kept": 5, "quarantined": 3}
    assert ["gone.png" in ledger.rows[0]["reason"], "pipe.png" in ledger.rows[1]["reason"]] == [True, True]
    with pytest.raises(Unreadable, match="pipe.png"):
        opened(pictures / "dog/pipe.png")
