"""A folder of pictures: one folder a label, broken pictures named."""

from __future__ import annotations

import hashlib
import random

import pytest

from tests.data.read.conftest import bad, refused, rows
from weitiao.data.read import read, read_file

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
    assert rows(source) == [(n, str(pictures / name), name[:3]) for n, name in enumerate(names, start=1)]
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
    source = read_file(pictures)
    assert [row[1].removeprefix(f"{pictures}/") for row in rows(source)] == ["cat/more/x.gif", "dog/a.bmp"]
    assert [(line, reason.split(" (")[0]) for line, reason in bad(source)] == [
        (1, "cat/10.jpg: a broken picture"),
        (2, "cat/2.png: a broken picture"),
        (5, "dog/b.png: a broken picture"),
        (6, "dog/list.txt: no picture"),
        (7, "dog/z\\udcff.png: its name is not UTF-8"),
        (8, "loose.png: it lies in no folder that names its label"),
    ]
    assert source.notes == ("2 hidden files or folders were not looked at",)


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.txt").write_text("words")
    with refused("folder_for_rows", "folder of pictures"):
        read_file(tmp_path)
