"""Parquet, Excel and Hugging Face data sets hold typed cells: they become plain JSON values."""

from __future__ import annotations

import datetime
import decimal
import json
import subprocess
import sys

import pytest

from tests.data.read.conftest import bad, records, refused, rows
from weitiao.data.read import read, read_file, table_rows

datasets = pytest.importorskip("datasets")
openpyxl = pytest.importorskip("openpyxl")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

TYPED = {
    "text": ["NA", None, "null"],
    "label": [1, 2, None],
    "score": [0.5, float("nan"), None],
    "day": [datetime.date(2026, 1, 2), None, None],
    "at": [datetime.datetime(2026, 1, 2, 3, 4), None, None],
    "price": [decimal.Decimal("1.50"), decimal.Decimal("2.00"), None],
    "raw": [b"bytes of text", None, "好".encode()],
    "turns": [[{"role": "user", "n": 1}], [], None],
}
PLAIN = [
    {
        "text": "NA",
        "label": 1,
        "score": 0.5,
        "day": "2026-01-02",
        "at": "2026-01-02T03:04:00",
        "price": 1.5,
        "raw": "bytes of text",
        "turns": [{"role": "user", "n": 1}],
    },
    {"text": None, "label": 2, "score": None, "day": None, "at": None, "price": 2, "raw": None, "turns": []},
    {
        "text": "null",
        "label": None,
        "score": None,
        "day": None,
        "at": None,
        "price": None,
        "raw": "好",
        "turns": None,
    },
]


# --- Parquet


def test_parquet_gives_plain_values(tmp_path):
    parquet.write_table(pa.table(TYPED), tmp_path / "a.parquet", row_group_size=2)
    source = read_file(tmp_path / "a.parquet")
    assert [record.values for record in records(source)] == PLAIN
    assert json.loads(json.dumps(PLAIN)) == PLAIN
    assert [record.line for record in records(source)] == [1, 2, 3]
    assert source.columns == list(TYPED)
    assert (source.format, source.encoding) == ("parquet", "")


def test_many_batches_are_counted_on(tmp_path):
    parquet.write_table(pa.table({"n": list(range(2500))}), tmp_path / "a.parquet")
    assert rows(read_file(tmp_path / "a.parquet")) == [(n + 1, n) for n in range(2500)]


def test_bytes_that_are_no_text_cost_their_row(tmp_path):
    strings = pa.array([b"fine", b"\xff\xfe", b"too"])
    table = pa.table({"raw": strings, "text": strings.cast(pa.string(), safe=False)})
    for column in ("raw", "text"):
        parquet.write_table(table.select([column]), tmp_path / "a.parquet")
        source = read_file(tmp_path / "a.parquet")
        assert rows(source) == [(1, "fine"), (3, "too")]
        assert [line for line, _ in bad(source)] == [2]


def test_a_parquet_file_that_is_none_or_cut_is_refused(tmp_path, file):
    parquet.write_table(pa.table({"text": [str(n) * 50 for n in range(500)]}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    for content in (b"", b"text,label\none,1\n", whole[:-1], whole[: len(whole) // 2], whole[10:]):
        with refused("bad_file", "b.parquet", "Parquet"):
            read_file(file("b.parquet", content))
    with refused("empty_file"):
        parquet.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "c.parquet")
        read_file(tmp_path / "c.parquet")


# --- Excel


def sheet(path, *tables):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, table in enumerate(tables, start=1):
        page = book.create_sheet(f"Sheet {number}")
        for row in table:
            page.append(row)
    book.save(path)
    return path


def test_an_excel_sheet_gives_plain_values(tmp_path):
    day = datetime.datetime(2026, 1, 2, 3, 4)
    table = [
        [],
        ["text", " label ", "at"],
        ["NA", 1, day],
        ["007", 0.5, None],
        [],
        [None, True],
        ["=1+1", "", "#N/A"],
        ["x", 1, None, None],
    ]
    source = read_file(sheet(tmp_path / "a.xlsx", table))
    assert source.columns == ["text", "label", "at"]
    assert rows(source) == [
        (3, "NA", 1, "2026-01-02T03:04:00"),
        (4, "007", 0.5, None),
        (6, None, True, None),
        (7, None, None, "#N/A"),
        (8, "x", 1, None),
    ]
    assert source.notes == ()


def test_other_sheets_are_mentioned_and_long_rows_are_bad(tmp_path):
    source = read_file(sheet(tmp_path / "a.xlsx", [["text"], ["one"], ["two", "more"], ["three"]], [["x"]]))
    assert rows(source) == [(2, "one"), (4, "three")]
    assert bad(source) == [(3, "2 cells where the header has 1")]
    assert source.notes == ('the sheet "Sheet 1" was read, others were not: "Sheet 2"',)


def test_a_sheet_that_lies_about_its_size_loses_nothing(tmp_path):
    import zipfile

    path = sheet(tmp_path / "a.xlsx", [["text", "label"], ["one", 1], ["two", 2]])
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new:
        for name in old.namelist():
            content = old.read(name).replace(b'<dimension ref="A1:B3"', b'<dimension ref="A1:A2"')
            new.writestr(name, content)
    assert (tmp_path / "b.xlsx").read_bytes() != path.read_bytes()
    assert rows(read_file(tmp_path / "b.xlsx")) == [(2, "one", 1), (3, "two", 2)]


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ([], "empty_file"),
        ([["text"]], "empty_file"),
        ([["a", "a"], [1, 2]], "bad_header"),
        ([["a", None, "b"], [1, "x"]], "bad_header"),
    ],
)
def test_a_sheet_without_rows_or_names_is_refused(table, code, tmp_path):
    with refused(code, "a.xlsx"):
        read_file(sheet(tmp_path / "a.xlsx", table))


def test_the_index_of_a_pandas_table_is_left_out_and_said(tmp_path):
    source = read_file(sheet(tmp_path / "a.xlsx", [[None, "text"], [0, "one"], [1, "two"]]))
    assert rows(source) == [(2, "one"), (3, "two")]
    assert source.columns == ["text"]
    assert "column 1 has no name and holds a running number" in source.notes[0]


def test_a_workbook_that_is_none_or_cut_is_refused(tmp_path, file):
    whole = sheet(tmp_path / "a.xlsx", [["text"], ["one"]]).read_bytes()
    for content in (b"", b"PK\x03\x04", b"text\none\n", whole[:-30], whole[: len(whole) // 2]):
        with refused("bad_file", "b.xlsx", "Excel"):
            read_file(file("b.xlsx", content))


# --- Hugging Face


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    table = datasets.Dataset.from_dict({"text": ["NA", "b", "c"], "label": [1, 0, -1]}, features=features)
    table.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": table, "test": table.select([1])}).save_to_disk(tmp_path / "two")
    return tmp_path


NAMED = [(1, "NA", "good"), (2, "b", "bad"), (3, "c", None)]


def test_a_saved_data_set_has_names_for_its_classes(saved):
    for name in (str(saved / "one"), f"hf:{saved / 'one'}"):
        source = read_file(name)
        assert rows(source) == NAMED
        assert (source.format, source.columns, source.notes) == ("datasets", ["text", "label"], ())
        assert len(source.sha256) == 64
    assert len(records(read([f"hf:{saved / 'one'}#2"])[0])) == 2


def test_tags_of_sentences_have_names_too(tmp_path):
    tags = datasets.Sequence(datasets.ClassLabel(names=["O", "B-LOC"]))
    features = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": tags})
    found = {"tokens": [["in", "Rome"], []], "ner_tags": [[0, 1], []]}
    datasets.Dataset.from_dict(found, features=features).save_to_disk(tmp_path / "tags")
    assert rows(read_file(tmp_path / "tags")) == [(1, ["in", "Rome"], ["O", "B-LOC"]), (2, [], [])]


def test_a_split_is_taken_by_name_or_train(saved):
    source = read_file(str(saved / "two"))
    assert rows(source) == NAMED
    assert source.notes == ('the split "train" was read, others were not: test',)
    assert rows(read_file(f"hf:{saved / 'two'}:test")) == [(1, "b", "bad")]
    with refused("no_dataset", "it has train, test"):
        read_file(f"hf:{saved / 'two'}:valid")
    with refused("no_dataset", "has no splits"):
        read_file(f"hf:{saved / 'one'}:train")


def test_a_folder_that_load_dataset_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    assert rows(read_file(f"hf:{folder}")) == [(1, "one"), (2, "two")]


@pytest.mark.parametrize(
    "name", ["hf:nobody-at-all/nothing", "hf:nobody-at-all/nothing:train", "hf:", "hf:./nowhere"]
)
def test_a_data_set_that_cannot_be_had_is_refused(name, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with refused("no_dataset", name):
        read_file(name)


def test_tables_of_pyarrow_and_datasets_in_memory(saved):
    assert table_rows(pa.table(TYPED)) == PLAIN
    assert table_rows(datasets.load_from_disk(saved / "one")) == [
        {"text": text, "label": label} for _, text, label in NAMED
    ]
    with refused("wrong_usage", "bytes that are no text"):
        table_rows(pa.table({"raw": [b"\xff"]}))


# --- guests


@pytest.mark.parametrize(
    ("module", "name"), [("pyarrow", "a.parquet"), ("openpyxl", "a.xlsx"), ("datasets", "hf:a/b")]
)
def test_a_guest_that_is_absent_is_named_with_its_extra(module, name, file, monkeypatch):
    find_spec = importlib_find(module)
    monkeypatch.setattr("importlib.util.find_spec", find_spec)
    path = name if name.startswith("hf:") else file(name, b"x")
    with refused("missing_extra", module, r"\[data\]"):
        read_file(path)


def importlib_find(absent):
    import importlib.util

    whole = importlib.util.find_spec
    return lambda name, *rest: None if name == absent else whole(name, *rest)


def test_no_guest_is_imported_before_it_is_asked_for():
    code = "import sys, weitiao.data.read; print({'pyarrow', 'pandas', 'datasets', 'openpyxl', 'PIL', 'torch'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "set()"
