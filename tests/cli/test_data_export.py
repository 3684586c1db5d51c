"""`weitiao data export`: an embedded data set as a file of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import reviews, write_csv
from weitiao.api import fetch
from weitiao.cli import run
from weitiao.data.read import read
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


def test_conversations_and_preferences_are_written_as_openai_takes_them(tmp_path, capsys):
    """By the format checks of OpenAI's cookbook ("Data preparation and analysis for chat model fine-tuning"), and by ours."""
    from tests.conftest import dialogues, write_jsonl
    from weitiao.serve.tuning.rows import way_of

    alpaca = [{"instruction": row["prompt"], "output": row["completion"]} for row in dialogues(12)]
    file = write_jsonl(tmp_path / "alpaca.jsonl", alpaca)
    written = tmp_path / "rows.jsonl"
    assert run(["data", "export", str(file), "--to", "openai", "-o", str(written)]) == 0
    assert way_of(written.read_bytes()) == "supervised"
    for line, row in zip(written.read_text().splitlines(), alpaca, strict=True):
        told = json.loads(line)
        assert set(told) == {"messages"}
        assert [turn["role"] for turn in told["messages"]] == ["user", "assistant"]
        assert [turn["content"] for turn in told["messages"]] == [row["instruction"], row["output"]]
        assert all(set(turn) == {"role", "content"} for turn in told["messages"])
    pairs = [
        {"prompt": row["prompt"], "chosen": row["completion"], "rejected": "no"} for row in dialogues(12)
    ]
    file, written = write_jsonl(tmp_path / "pairs.jsonl", pairs), tmp_path / "pairs.openai.jsonl"
    assert run(["data", "export", str(file), "--to", "openai", "-o", str(written)]) == 0
    assert way_of(written.read_bytes()) == "dpo"
    first = json.loads(written.read_text().splitlines()[0])
    assert first["non_preferred_output"] == [{"role": "assistant", "content": "no"}]
    assert first["input"]["messages"] == [{"role": "user", "content": pairs[0]["prompt"]}]


@pytest.mark.parametrize(
    ("rows", "words", "code", "says"),
    [
        ([{"text": "a", "label": "b"}] * 12, ["--to", "openai"], 2, "conversations or preferences"),
        ([{"instruction": "a", "output": "b"}], ["--to", "openai"], 2, "no fewer than 10"),
        ([{"instruction": f"a{n}", "output": "b" * (n != 3)} for n in range(12)], ["--to", "openai"], 3, "line 4"),
        (
            [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "thinking": "c"}]}]
            * 12,
            ["--to", "openai"],
            2,
            "line 1: `thinking`",
        ),
        ([{"instruction": "a", "output": "b"}] * 12, ["--to", "opnai"], 2, "opnai"),
    ],
)  # fmt: skip
def test_rows_that_openai_would_not_take_are_told_and_nothing_is_written(
    rows, words, code, says, tmp_path, capsys
):
    from tests.conftest import write_jsonl

    file, out = write_jsonl(tmp_path / "rows.jsonl", rows), tmp_path / "out.jsonl"
    assert run(["data", "export", str(file), *words, "-o", str(out)]) == code
    assert says in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.whole
def test_a_sample_is_the_one_that_a_recipe_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, file in (("film-reviews#50", "mine.csv"), ("alpaca-zh#7", "mine.jsonl")):
        assert run(["data", "export", name, "-o", file]) == 0
        own, of = (
            [row.values for row in read([asked])[0].rows()]
            for asked in (file, f"{fetch(name.partition('#')[0])}#{name.partition('#')[2]}")
        )
        assert own == of
        assert len(own) in (50, 7)
    capsys.readouterr()
    for name in ("film-reviews#many", "clothes-scenes#3"):
        assert run(["data", "export", name, "-o", "x.json" if "scenes" in name else "x.csv"]) != 0
        assert "Traceback" not in capsys.readouterr().err
        assert not list(tmp_path.glob("x.*"))
