"""Encoded rows are kept and read again only where nothing that decides them has changed or broken."""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import reviews
from tests.data import test_encode
from tests.data.test_encode import Odd, encoded, plain, processor_of, table
from weitiao.core import registry
from weitiao.core.contracts import Example, Record
from weitiao.data.code import code_print
from weitiao.data.encode import FORGOTTEN_S, Encoder
from weitiao.data.encoded import META, Encoded
from weitiao.data.rows import Rows

kind = test_encode.kind
limit = test_encode.limit


def content(found: Encoded) -> list:
    return [plain(example) for example in found] + [found.notes, found.rows.tolist()]


class Counted:
    """How often a task was asked to encode."""

    def __init__(self, monkeypatch, task):
        self.times = 0
        inner = type(task).encode

        def encode(task, *args, **words):
            self.times += 1
            return inner(task, *args, **words)

        monkeypatch.setattr(type(task), "encode", encode)


@pytest.fixture
def cached(kind, limit, tmp_path):
    """The kind, and what was encoded into a cache once."""
    found, ledger = encoded(kind, limit=limit, cache=tmp_path)
    (folder,) = tmp_path.iterdir()
    return content(found), ledger.to_dict(), folder


def test_without_a_change_nothing_is_encoded_and_the_ledger_is_the_same(
    kind, limit, cached, tmp_path, monkeypatch
):
    def fail(*args, **words):
        raise AssertionError("encoded again")

    task, rows, processor = kind
    monkeypatch.setattr(type(task), "encode", fail)
    monkeypatch.setattr(type(task), "windows", fail)
    found, ledger = encoded(kind, limit=limit, cache=tmp_path)
    assert content(found) == cached[0]
    assert ledger.to_dict() == cached[1]
    assert cached[1]["rows"], "some rows were cut, and that is said again"
    # Neither where the rows stand nor what the tokenizer was last asked for is a change.
    moved = Rows(Record("moved.csv", record.line + 100, record.values) for record in rows)
    processor("film plot", truncation=True, max_length=3, padding="max_length")
    found, ledger = encoded((task, moved, processor), limit=limit, cache=tmp_path)
    assert content(found) == cached[0]
    assert {row["file"] for row in ledger.rows} == {"moved.csv"}
    assert [row["line"] - 100 for row in ledger.rows] == [row["line"] for row in cached[1]["rows"]]


def test_the_same_processor_from_another_folder_is_no_change(kind, limit, cached, tmp_path, monkeypatch):
    task, rows, processor = kind
    counted = Counted(monkeypatch, task)
    with tempfile.TemporaryDirectory() as folder:
        # Loaded anew: Transformers writes down what the last call asked for, and reads it as settings.
        processor_of(processor.name_or_path).save_pretrained(folder)
        found, _ = encoded((task, rows, processor_of(folder)), limit=limit, cache=tmp_path)
    assert counted.times == 0
    assert content(found) == cached[0]


def changed_rows(kind):
    task, rows, processor = kind
    records = list(rows)
    first = {**records[0].values, "more": 1}
    yield "a row less", (task, rows[1:], processor)
    yield "another order", (task, rows[::-1], processor)
    yield "another value", (task, Rows([Record("a.csv", 2, first), *records[1:]]), processor)


def changed_processors(kind):
    task, rows, processor = kind

    def another(change):
        with tempfile.TemporaryDirectory() as folder:
            processor.save_pretrained(folder)
            made = processor_of(folder)
        change(made)
        return task, rows, made

    def swapped(made):
        tree = json.loads(made.backend_tokenizer.to_str())
        vocab = tree["model"]["vocab"]
        vocab["film"], vocab["plot"] = vocab["plot"], vocab["film"]
        made._tokenizer = type(made.backend_tokenizer).from_str(json.dumps(tree))

    yield "a new word", another(lambda made: made.add_tokens(["unheard"]))
    yield "another vocabulary", another(swapped)
    yield "another end token", another(lambda made: setattr(made, "eos_token", "actor"))
    yield (
        "another template",
        another(lambda made: setattr(made, "chat_template", f"{made.chat_template or ''}{{# #}}")),
    )


@pytest.mark.parametrize("changed", [changed_rows, changed_processors])
def test_any_other_row_or_processor_misses(changed, kind, limit, cached, tmp_path, monkeypatch):
    counted = Counted(monkeypatch, kind[0])
    for number, (what, other) in enumerate(changed(kind), start=1):
        encoded(other, limit=limit, cache=tmp_path)
        assert counted.times == number, what
    encoded(kind, limit=limit, cache=tmp_path)
    assert counted.times == number, "and the first is still there"


def test_any_other_setting_misses(kind, limit, cached, tmp_path, monkeypatch):
    counted = Counted(monkeypatch, kind[0])
    changes = [{"overlong": "drop"}, {"overlong": "split"}, {"bad_rows": "drop"}, {"side": "test"}]
    for number, words in enumerate(changes, start=1):
        encoded(kind, limit=limit, cache=tmp_path, **words)
        assert counted.times == number, words
    encoded(kind, limit=limit + 1, cache=tmp_path)
    assert counted.times == len(changes) + 1


def test_other_settings_of_the_task_miss(bert, tmp_path, monkeypatch):
    task = registry.build("task", {"name": "text_classification", "labels": ["bad", "good"]})
    rows, processor = table(reviews(6)), processor_of(bert)
    one, _ = encoded((task, rows, processor), limit=64, cache=tmp_path)
    other, _ = encoded((replace(task, labels=("good", "bad")), rows, processor), limit=64, cache=tmp_path)
    assert [1 - example.target for example in one] == [example.target for example in other]


@pytest.mark.parametrize(
    "module",
    [
        "data/chat/spans.py",
        "data/encode.py",
        "tasks/",
        "packed.py",
        "tasks/parts/losses.py",
        "core/contracts/task.py",
    ],
)
def test_other_code_misses(module, kind, limit, cached, tmp_path, monkeypatch):
    task = kind[0]
    read, file = (
        Path.read_bytes,
        f"tasks/{type(task).__module__.rpartition('.')[2]}.py" if module == "tasks/" else module,
    )
    counted = Counted(monkeypatch, task)
    touched = []

    def edited(path: Path) -> bytes:
        if path.as_posix().endswith(file):
            touched.append(path)
            return read(path) + b"\n"
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", edited)
    # `Counted` put a function of this file in; the class is still found where it was written.
    encoded(kind, limit=limit, cache=tmp_path)
    assert touched
    assert counted.times == 1


OWN = {
    "our_tasks/__init__.py": "",
    "our_tasks/task.py": "from our_helper import CUT\nfrom .near import word\nclass Ours:\n    pass\n",
    "our_tasks/near.py": "word = 1\n",
    "our_tasks/deep/inner.py": "x = 1\n",
    "our_helper.py": "CUT = 3\ndef late():\n    import our_late\n",
    "our_late.py": "import json\n",
    "our_stranger.py": "y = 1\n",
}


@pytest.mark.whole
def test_all_code_of_a_task_of_ones_own_counts(tmp_path, monkeypatch):
    for name, text in OWN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    kind = importlib.import_module("our_tasks.task").Ours
    before = code_print(kind)
    assert before == code_print(kind) != code_print(type("Other", (), {}))
    for name, text in OWN.items():
        (tmp_path / name).write_text(text + "# another\n")
        assert (code_print(kind) == before) == (name == "our_stranger.py"), name
        (tmp_path / name).write_text(text)
    assert code_print(kind) == before


def test_a_task_without_a_file_is_encoded_anew():
    space: dict = {"__name__": "a_notebook"}
    exec("class Typed:\n    pass", space)
    assert code_print(space["Typed"]) != code_print(space["Typed"])


def damage_cut(folder: Path):
    for file in sorted(folder.iterdir()):
        if file.stat().st_size:
            yield f"{file.name} cut", lambda file=file: os.truncate(file, file.stat().st_size - 1)


def damage_bits(folder: Path):
    for file in sorted(folder.iterdir()):
        size = file.stat().st_size
        for place in {0, size // 3, size // 2, size - 1} if size else ():

            def flip(file=file, place=place) -> None:
                raw = bytearray(file.read_bytes())
                raw[place] ^= 1
                file.write_bytes(raw)

            yield f"{file.name} bit at {place}", flip


def damage_missing(folder: Path):
    for file in sorted(folder.iterdir()):
        yield f"{file.name} missing", file.unlink
    yield "no files", lambda: [file.unlink() for file in folder.iterdir()]
    for text in ("", "[]", "{}", "null", '{"sha256": [], "self": ""}', '{"sha256": {}}'):
        yield f"meta {text}", lambda text=text: (folder / META).write_text(text)


@pytest.mark.whole
@pytest.mark.parametrize("damage", [damage_cut, damage_bits, damage_missing])
def test_a_broken_cache_is_encoded_anew(damage, kind, limit, cached, tmp_path, monkeypatch):
    counted = Counted(monkeypatch, kind[0])
    wanted, _, folder = cached
    aside = tmp_path.parent / f"{tmp_path.name}-aside"
    shutil.copytree(folder, aside)
    for number, (what, harm) in enumerate(damage(folder), start=1):
        harm()
        found, _ = encoded(kind, limit=limit, cache=tmp_path)
        assert counted.times == number, what
        assert content(found) == wanted, what
    again, _ = encoded(kind, limit=limit, cache=tmp_path)
    assert counted.times == number, "and it is whole again"
    assert content(again) == wanted
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in aside.iterdir())


def test_every_bit_of_the_notes_is_watched_over(kind, limit, cached, tmp_path):
    """A flipped bit that leaves JSON behind would be believed otherwise."""
    _, _, folder = cached
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    meta["notes"][0][2] = meta["notes"][0][2].replace("tokens", "uokens")
    (folder / META).write_text(json.dumps(meta), encoding="utf-8")
    _, ledger = encoded(kind, limit=limit, cache=tmp_path)
    assert ledger.to_dict() == cached[1]


def test_what_nobody_reads_for_long_is_deleted_and_what_is_read_stays(kind, limit, cached, tmp_path):
    _, _, folder = cached
    old = time.time() - FORGOTTEN_S - 60
    os.utime(folder, (old, old))
    encoded(kind, limit=limit, cache=tmp_path)  # a hit: it is read
    encoded(kind, limit=limit + 1, cache=tmp_path)
    assert folder.is_dir()
    os.utime(folder, (old, old))
    encoded(kind, limit=limit + 2, cache=tmp_path)
    assert not folder.exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_without_a_cache_nothing_stays(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found, _ = encoded(kind, limit=1000)
    before = content(found)
    assert len(list(tmp_path.glob(".encoding-*"))) == 1
    assert content(found) == before
    del found
    gc.collect()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("in_cache", [True, False])
def test_a_task_that_fails_leaves_nothing_half_done(in_cache, tmp_path, monkeypatch):
    def examples():
        yield Example({"input_ids": [1]})
        raise KeyboardInterrupt

    class Kind(Odd):
        def encode(self, records, processor, *, limit):
            return examples()

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Encoder, "key", lambda *_: "key")
    with pytest.raises(KeyboardInterrupt):
        encoded((Kind([]), table([{"text": "a"}]), None), limit=4, cache=tmp_path if in_cache else None)
    assert list(tmp_path.iterdir()) == []
