"""The rows of a run lie in its folder: those of the file, side by side, none that was made, in the same bytes each time."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import weitiao as wt
from tests.conftest import reviews, write_csv
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import stream_lines, write_json
from weitiao.core.run import RunFolder
from weitiao.core.sections import Data
from weitiao.data.formats.preferences import preference
from weitiao.data.shapes import LABELLED, PREFERENCE, PROMPTED
from weitiao.stages.kept_rows import FILES, keep, kept, seen_in_training

ODD = ("emoji \U0001f9d1\u200d\U0001f680", 'two\nlines, "quoted"', "\u2028 a separator", "half \ud83d")
GROUPS = [7, 7, 8, 9]


def test_every_row_of_the_file_lies_on_its_side_and_nothing_that_was_made(classify, tmp_path):
    source = write_csv(tmp_path / "own.csv", reviews(60))
    words = {"train": str(source), "augment": [{"name": "swap", "copies": 2}]}
    run = wt.train(classify(max_steps=1, data=words))
    with source.open(newline="", encoding="utf-8") as file:
        rows = {f"{source}:{number}": row for number, row in enumerate(csv.DictReader(file), start=2)}
    source.unlink()
    split = run.folder.json("data/split.json")
    assert sum(map(len, split.values())) == 60
    for side, ids in split.items():
        found = [record for record, _ in kept(run.folder, side)]
        assert [record.id for record in found] == ids
        assert all(rows[record.id].items() <= dict(record.values).items() for record in found)
    packed = run.path / "data" / FILES["train"]
    assert packed.stat().st_size < 0.7 * sum(len(json.dumps(line)) for line in stream_lines(packed))


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    """Rows that are hard to write."""
    made = RunFolder(tmp_path)
    sides = {side: [Record("a.jsonl", 1, {"text": text}, n) for n, text in enumerate(ODD)] for side in FILES}
    write_json(tmp_path / "facts.json", {"fingerprints": {"data": "d"}})
    write_json(tmp_path / "data/split.json", {side: [row.id for row in rows] for side, rows in sides.items()})
    keep(made, sides, dict.fromkeys(FILES, np.array(GROUPS)))
    return made


def test_odd_characters_and_several_rows_of_a_line_come_back(folder):
    for side in FILES:
        assert [record.values["text"] for record, _ in kept(folder, side)] == list(ODD)
        assert [record.nth for record, _ in kept(folder, side)] == [0, 1, 2, 3]
    assert [group for _, group in kept(folder, "test")] == GROUPS


def test_the_same_rows_are_the_same_bytes(folder, tmp_path):
    before = folder.json("facts.json")
    assert set(before["fingerprints"]) == {"data", "train", "validation", "test"}
    rows = {side: [record for record, _ in kept(folder, side)] for side in FILES}
    keep(folder, rows, dict.fromkeys(FILES, np.array(GROUPS)))
    assert folder.json("facts.json") == before


def test_rows_that_are_not_those_that_were_dealt_are_refused(folder):
    split = folder.json("data/split.json")
    for wrong in (split["train"][:-1], [*split["train"], "a.jsonl:2"], split["train"][::-1]):
        write_json(folder.path / "data/split.json", split | {"train": wrong})
        with pytest.raises(WeitiaoError, match="broken_rows"):
            list(kept(folder, "train"))


def test_rows_that_differ_in_their_numbers_alone_are_not_seen_in_training(tmp_path):
    """As the split has it: a table's rows put into words are alike but for their numbers."""

    def flat(n: int) -> Record:
        return Record("a.csv", n, {"text": f"area: {40 + n}; rooms: {n}; floor: {n % 7}", "label": "x"})

    sides = {"train": [flat(n) for n in range(1, 40)], "validation": [], "test": []}
    write_json(tmp_path / "facts.json", {"fingerprints": {}})
    write_json(tmp_path / "data/split.json", {side: [row.id for row in rows] for side, rows in sides.items()})
    folder = RunFolder(tmp_path)
    keep(folder, sides, {side: np.arange(len(rows)) for side, rows in sides.items()})
    others = [flat(n) for n in range(60, 90)]
    shouted = Record("b.csv", 1, {"text": "AREA: 45, rooms: 5, floor: 5!", "label": "x"})
    for asked, seen in ((others, 0), ([*others, shouted], 1)):
        assert seen_in_training(folder, asked, LABELLED, Data(train=["a.csv"]), near=True) == seen


def test_prompts_of_one_mould_are_not_seen_in_training_where_what_is_answered_differs(tmp_path):
    words = [
        f"{a}{b}"
        for a in ("apple", "birch", "cedar", "daisy")
        for b in ("wood", "field", "hill", "lake", "town")
    ]

    def pair(n: int) -> Record:
        said = [
            f"{words[(n + k) % 20]} is {mood} in the {words[(3 * n + k) % 20]}"
            for k, mood in enumerate(("kind", "dull"))
        ]
        values = {
            "prompt": f'Write a sentence of a film review with the word "{words[n]}".',
            "chosen": said[0],
        }
        return Record("a.jsonl", n, preference({**values, "rejected": said[1]}, []))

    sides = {"train": [pair(n) for n in range(12)], "validation": [], "test": []}
    write_json(tmp_path / "facts.json", {"fingerprints": {}})
    write_json(tmp_path / "data/split.json", {side: [row.id for row in rows] for side, rows in sides.items()})
    folder = RunFolder(tmp_path)
    keep(folder, sides, {side: np.arange(len(rows)) for side, rows in sides.items()})
    data = Data(train=["a.jsonl"], near_duplicates="keep")
    others = [pair(n) for n in range(12, 20)]
    assert seen_in_training(folder, others, PREFERENCE, data) == 0
    assert seen_in_training(folder, [*others, pair(3)], PREFERENCE, data) == 1


def test_prompts_that_are_to_be_answered_are_told_apart_by_what_else_their_rows_hold(tmp_path):
    def prompt(n: int, word: str) -> Record:
        turns = [{"role": "user", "content": f'Write a sentence of a film review with the word "{word}".'}]
        return Record("a.jsonl", n, {"prompt": turns, "row": {"word": word}})

    words = ["applewood", "birchfield", "cedarhill", "daisylake", "elmtown", "fernwood", "gorsehill"]
    sides = {"train": [prompt(n, word) for n, word in enumerate(words[:5])], "validation": [], "test": []}
    write_json(tmp_path / "facts.json", {"fingerprints": {}})
    write_json(tmp_path / "data/split.json", {side: [row.id for row in rows] for side, rows in sides.items()})
    folder = RunFolder(tmp_path)
    keep(folder, sides, {side: np.arange(len(rows)) for side, rows in sides.items()})
    asked = [prompt(9, word) for word in ("cedarhill", *words[5:])]
    data = Data(train=["a.jsonl"], near_duplicates="keep", near_duplicate_threshold=0.5)
    assert seen_in_training(folder, asked, PROMPTED, data) == 1
