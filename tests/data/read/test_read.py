"""Files become records with file and line; what cannot be read is named, never lost or changed in silence."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import os
import random
from pathlib import Path

import pytest

from tests.data.read.conftest import bad, records, refused
from weitiao.data.read import read, read_file


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.json", "a.jsonl"])
@pytest.mark.parametrize("content", [b"", b"\n \n", codecs.BOM_UTF8])
def test_an_empty_file_is_refused(name, content, file):
    with refused("empty_file", name):
        read_file(file(name, content))


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "text,label\n"), ("a.csv", "text,label\n\n\n"), ("a.json", "[]")]
)
def test_a_header_alone_is_refused(name, content, file):
    with refused("empty_file", name):
        read_file(file(name, content))


def test_a_file_that_is_not_there(tmp_path):
    for name in ("nowhere.csv", "nowhere", "x" * 5000 + ".csv", ""):
        with refused("file_missing"):
            read_file(tmp_path / name if name else Path("\0"))


def test_a_folder_and_a_strange_ending_are_refused(file, tmp_path):
    with refused("folder_for_rows", "rows.csv", "folder of pictures"):
        read_file(tmp_path)
    for name in ("a.xls", "a", "a.parquet.gz", "a.gz", "a.zip"):
        with refused("unknown_format", "save it as .csv"):
            read_file(file(name, "text,label\n"))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    with refused("bad_file", "a.csv", "a pipe or a device"):
        read_file(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.xlsx"])
def test_a_file_that_may_not_be_read(name, file, monkeypatch):
    path = file(name, "text,label\none,1\n")

    def denied(self, *_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", denied)
    with refused("no_permission", "read", "a.csv" if "csv" in name else name):
        read_file(path)


def test_links_are_followed(file, tmp_path):
    (tmp_path / "link.csv").symlink_to(file("a.csv", "text\none\n"))
    assert [record.values for record in records(read_file(tmp_path / "link.csv"))] == [{"text": "one"}]


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", "text\none\ntwo\n"), ("a.jsonl", '{"text": "one"}\n{"text": "two"}'), ("a.txt", "one\ntwo")],
)
def test_what_gzip_packed_is_read_like_the_rest(name, text, file):
    plain, packed = read_file(file(name, text)), file(f"{name}.gz", gzip.compress(text.encode()))
    source = read_file(packed)
    assert [record.values for record in records(source)] == [record.values for record in records(plain)]
    assert [record.line for record in records(source)] == [record.line for record in records(plain)]
    assert source.format == f"{plain.format}.gz"
    assert source.sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()
    for broken in (packed.read_bytes()[:-9], b"no gzip", packed.read_bytes()[:12] + b"\xff" * 20):
        with refused("bad_file", "gzip"):
            read_file(file(f"broken-{name}.gz", broken))


def test_the_hash_is_that_of_the_bytes(file):
    path = file("a.csv", "\ufefftext\n" + "one\n" * 400_000)
    assert path.stat().st_size > 1 << 20
    assert read_file(path).facts() == {
        "path": str(path),
        "format": "csv",
        "encoding": "utf-8-sig",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def test_rows_may_be_asked_for_twice_and_in_between(file):
    source = read_file(file("a.csv", "text\n" + "".join(f"{n}\n" for n in range(50))))
    once, again = source.rows(), source.rows()
    assert [next(once).line for _ in range(10)] == list(range(2, 12))
    assert [row.line for row in again] == list(range(2, 52))
    assert [row.line for row in once] == list(range(12, 52))


def shuffled(count: int, seed: int) -> str:
    lines = [f"row number {i},{i % 3}\n" for i in range(count)]
    random.Random(seed).shuffle(lines)
    return "text,label\n" + "".join(lines)


def sample(path, *, seed=0):
    return {record.values["text"] for record in records(read([f"{path}#40"], seed=seed)[0])}


def test_a_sample_depends_on_the_rows_and_the_seed_alone(file):
    one, other = file("a.csv", shuffled(300, 1)), file("b.csv", shuffled(300, 2))
    assert one.read_bytes() != other.read_bytes()
    assert sample(one) == sample(one) == sample(other)
    assert len(sample(one)) == 40
    assert sample(one) != sample(one, seed=1)


def test_a_sample_keeps_file_order_and_says_what_it_is(file):
    path = file("a.csv", shuffled(300, 1) + "one, comma too many,1\n")
    (source,) = read([f"{path}#40"])
    lines = [record.line for record in records(source)]
    assert lines == sorted(lines)
    assert source.facts()["path"] == f"{path}#40"
    assert len(list(source.rows())) == 40
    assert bad(source) == [], "a sample is of the rows that can be read"


def test_a_sample_larger_than_the_file_is_the_file(file):
    assert len(records(read([f"{file('a.csv', shuffled(5, 0))}#40"])[0])) == 5


def test_a_file_whose_name_ends_like_a_sample_is_that_file(file):
    path = file("a.csv#2", "text,label\n")
    with refused("unknown_format"):
        read([str(path)])


def test_several_files_keep_their_names(file):
    sources = read([str(file("a.csv", "text,label\none,1\n")), str(file("b.jsonl", '{"text": "two"}\n'))])
    assert [records(source)[0].place for source in sources] == [
        f"{s.path} line {n}" for s, n in zip(sources, (2, 1), strict=True)
    ]
