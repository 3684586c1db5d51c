"""`weitiao data export`: an embedded data set as a file of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import reviews, write_csv
from weitiao.cli import run
from weitiao.models.assets import catalog


@pytest.fixture
def cached(tmp_path, monkeypatch) -> bytes:
    """A stand-in of film-reviews that lies in the cache, and a folder to work in."""
    entry = catalog.DATASETS["film-reviews"]
    folder = tmp_path / "cache" / "data" / entry.name
    folder.mkdir(parents=True)
    rows = [{"text": 'Zwei Zeilen,\n"schön", ' + row["text"], "label": row["label"]} for row in reviews(5)]
    file = write_csv(folder / entry.filename, rows)
    facts = {"sha256": entry.source.sha256, "converter": entry.converter}
    facts["files"] = {file.name: file.stat().st_size}
    (folder / catalog.MANIFEST).write_text(json.dumps(facts))
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return file.read_bytes()


@pytest.mark.parametrize(
    ("words", "file"), [((), "film-reviews.csv"), (("-o", "deep/mine.csv"), "deep/mine.csv")]
)
def test_the_file_is_the_data_set_byte_for_byte(words, file, cached, capsys):
    assert run(["data", "export", "film-reviews", *words]) == 0
    assert capsys.readouterr().out == f"{file}\n"
    assert Path(file).read_bytes() == cached


def test_nothing_is_written_over_or_under_a_wrong_name(cached, capsys):
    Path("film-reviews.csv").write_text("mine")
    for words, said in (((), "exists already"), (("-o", "mine.jsonl"), "film-reviews.csv")):
        assert run(["data", "export", "film-reviews", *words]) == 2
        assert said in capsys.readouterr().err
    assert [path.read_text() for path in Path().iterdir()] == ["mine"]


def test_an_unknown_name_is_told_the_nearest(cached, capsys):
    assert run(["data", "export", "film-review"]) == 3
    assert '"film-reviews"' in capsys.readouterr().err
