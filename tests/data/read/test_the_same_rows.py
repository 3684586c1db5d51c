"""A file says what somebody wrote, whatever it is stored as: nulls, `1.0`, `_x000D_` and midnights are nobody's words."""

from __future__ import annotations

import csv
import datetime
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.read.conftest import records
from weitiao.core.recipe import Data, Split
from weitiao.data.check import inspect
from weitiao.data.read import read_file, table_rows
from weitiao.data.shapes import CONVERSATION, LABELLED

openpyxl = pytest.importorskip("openpyxl")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
pd = pytest.importorskip("pandas")


def written(folder: Path, columns: dict[str, list]) -> list[Path]:
    """One table as CSV, Excel, Parquet of Arrow, Parquet of pandas, and JSON Lines of both."""
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    with (folder / "a.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in rows:
            cells = ("true" if cell is True else "false" if cell is False else cell for cell in row.values())
            writer.writerow(["" if cell is None else cell for cell in cells])
    book = openpyxl.Workbook()
    book.active.append(list(columns))
    for row in rows:
        book.active.append(list(row.values()))
    book.save(folder / "a.xlsx")
    parquet.write_table(pa.table(columns), folder / "a.parquet")
    table = pd.DataFrame(columns)  # a hole makes floats of whole numbers
    table.to_parquet(folder / "pandas.parquet")
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table.to_json(folder / "pandas.jsonl", orient="records", lines=True)
    return sorted(folder.iterdir())


LABELS = st.one_of(
    st.lists(st.none() | st.integers(-3, 3), min_size=3, max_size=6),
    st.lists(st.none() | st.booleans(), min_size=3, max_size=6),
    st.lists(st.none() | st.sampled_from(["good", "NA", "1", "v1.50"]), min_size=3, max_size=6),
)


@given(labels=LABELS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_table_in_six_files_is_the_same_rows(labels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    found = {}
    for path in written(folder, {"text": [f"film no {i}" for i in range(len(labels))], "label": labels}):
        checked = inspect(Data(train=[str(path)], near_duplicates="keep"), LABELLED)
        found[path.name] = [(row.values["text"], row.values["label"]) for row in checked.rows]
    expected = [
        (f"film no {i}", json.dumps(label) if not isinstance(label, str) else label)
        for i, label in enumerate(labels)
        if label is not None
    ]
    assert found == dict.fromkeys(found, expected)


def test_numbers_in_a_column_of_texts_are_their_digits(tmp_path):
    book = openpyxl.Workbook()
    for row in (["text", "label"], ["Titanic", "good"], [2012, "bad"], [3.5, "bad"], [7.0, "bad"]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    found = inspect(Data(train=[str(tmp_path / "a.xlsx")]), LABELLED)
    assert [row.values["text"] for row in found.rows] == ["Titanic", "2012", "3.5", "7"]
    assert found.ledger.counts() == {"kept": 4}


def test_what_excel_writes_for_a_character_is_that_character(tmp_path):
    book = openpyxl.Workbook()
    cells = ["one_x000D_\ntwo", "_x005F_x000D_", "_xD83D__xDE00_", "snake_x_case_x12", "_xD83D_"]
    book.active.append([f"text{i}" for i in range(len(cells))])
    book.active.append(cells)
    book.save(tmp_path / "a.xlsx")
    (row,) = records(read_file(tmp_path / "a.xlsx"))
    assert list(row.values.values()) == ["one\r\ntwo", "_x000D_", "\U0001f600", "snake_x_case_x12", "\ufffd"]


def test_a_day_in_excel_has_no_time(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["day", "at"])
    book.active.append([datetime.date(2026, 5, 1), datetime.datetime(2026, 5, 1, 9, 30)])
    book.save(tmp_path / "a.xlsx")
    (row,) = records(read_file(tmp_path / "a.xlsx"))
    assert row.values == {"day": "2026-05-01", "at": "2026-05-01T09:30:00"}


def call(name: str, **arguments) -> dict:
    return {"function": {"name": name, "arguments": arguments}}


def tool(name: str, **properties) -> dict:
    schema = {key: {"type": kind} for key, kind in properties.items()}
    return {"function": {"name": name, "parameters": {"type": "object", "properties": schema}}}


TALKS = [
    {
        "messages": [
            {"role": "user", "content": f"question {i}"},
            {"role": "assistant", "content": None, "tool_calls": [asked]},
            {"role": "tool", "content": "42"},
            {"role": "assistant", "content": "42."},
        ],
        "tools": [known],
    }
    for i, (known, asked) in enumerate(
        [
            (tool("weather", city="string", days="integer"), call("weather", city="Rome", days=3)),
            (tool("sum", a="integer", b="integer"), call("sum", a=1, b=2)),
            (tool("weather", city="string", days="integer"), call("weather", city="Oslo")),
        ]
    )
]


def nulled(rows: list[dict]) -> list[dict]:
    """The rows as one Arrow structure has them: every object with the keys of all objects in its place."""
    return pa.Table.from_pylist(rows).to_pylist()


@pytest.mark.parametrize("stored", ["arrow", "pandas", "datasets", "memory"])
def test_nulls_of_shared_structures_are_not_there(stored, tmp_path):
    path = tmp_path / "a.parquet"
    if stored == "arrow":
        parquet.write_table(pa.Table.from_pylist(TALKS), path)
    elif stored == "pandas":
        pd.DataFrame(TALKS).to_parquet(path)
    elif stored == "datasets":
        path = tmp_path / "saved"
        pytest.importorskip("datasets").Dataset.from_list(TALKS).save_to_disk(path)
    else:
        path = tmp_path / "a.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in table_rows(pd.DataFrame(nulled(TALKS)))))
    assert '"b": null' in json.dumps(nulled(TALKS)), "or there is nothing to see here"
    found = [row.values for row in inspect(Data(train=[str(path)]), CONVERSATION).rows]
    assert found == [{"messages": row["messages"], "tools": row["tools"]} for row in TALKS]
    assert "null" not in json.dumps([row["tools"] for row in found])


def test_in_json_only_the_nulls_of_other_tools_go(tmp_path):
    """A null that the called tool knows of may have been written: `days` stays, `a` and `b` of another tool do not."""
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in nulled(TALKS)))
    rows = [row.values for row in inspect(Data(train=[str(path)]), CONVERSATION).rows]
    given = [row["messages"][1]["tool_calls"][0]["function"]["arguments"] for row in rows]
    assert given == [{"city": "Rome", "days": 3}, {"a": 1, "b": 2}, {"city": "Oslo", "days": None}]
    assert [row["tools"] for row in rows] == [row["tools"] for row in TALKS]


def test_a_list_of_dicts_is_kept_as_it_is_given():
    rows = [{"text": "a", "more": {"x": None, "y": 1.0}}]
    assert json.dumps(table_rows(rows)) == json.dumps(rows)


# --- one label in several spellings


def labels(path: Path, **words) -> tuple[list, dict]:
    checked = inspect(Data(train=[str(path)], near_duplicates="keep", **words), LABELLED)
    return [row.values["label"] for row in checked.rows], checked.ledger.counts()


def table(path: Path, found: list[str]) -> Path:
    path.write_text("text,label\n" + "".join(f"film no {i},{label}\n" for i, label in enumerate(found)))
    return path


@pytest.mark.parametrize(
    ("found", "meant", "repaired"),
    [
        (["0", "1", "0.0", "1.0", "1."], ["0", "1", "0", "1", "1"], 3),
        (["0.0", "1.0", "0.0"], ["0.0", "1.0", "0.0"], 0),
        (["True", "FALSE", "true", "False"], ["true", "false", "true", "false"], 3),
        (["True", "False"], ["True", "False"], 0),
        (["3.1", "3.10", "3"], ["3.1", "3.10", "3"], 0),
        (["007", "7", "7.0"], ["007", "7", "7"], 1),
        (["-0.0", "-0", "10.00", "10"], ["-0", "-0", "10", "10"], 2),
    ],
)
def test_spellings_of_one_number_are_one_label_and_said(found, meant, repaired, tmp_path):
    seen, counts = labels(table(tmp_path / "a.csv", found))
    assert seen == meant
    assert counts.get("repaired", 0) == repaired


def test_spellings_are_joined_across_files(tmp_path):
    one, two = table(tmp_path / "a.csv", ["1", "0"]), tmp_path / "b.csv"
    two.write_text("text,label\nanother,1.0\nfilm no 0,1.0\n")
    checked = inspect(Data(train=[str(one)], test=[str(two)], near_duplicates="keep"), LABELLED)
    assert {row.values["label"] for row in checked.rows} == {"0", "1"}
    assert checked.ledger.counts() == {"kept": 1, "repaired": 2, "duplicate": 1}, "and no contradiction"


def test_a_user_is_the_same_in_every_kind_of_file(tmp_path):
    (tmp_path / "a.csv").write_text("text,label,user\none,x,7\n")
    pd.DataFrame({"text": ["two", "three"], "label": ["x", "y"], "user": [7, None]}).to_parquet(
        tmp_path / "b.parquet"
    )
    files = [str(tmp_path / "a.csv"), str(tmp_path / "b.parquet")]
    by = inspect(Data(train=files, split=Split(group_by="user")), LABELLED).marks.by
    assert by[0] == by[1] != by[2] == 0


# --- a line that names the separator


@pytest.mark.parametrize(
    ("first", "mark"),
    [
        ("sep=;\n", ";"),
        ("\ufeffsep=;\r\n", ";"),
        ('"sep=;"\n', ";"),
        ("SEP=,\n", ","),
        ("sep=\t\n", "\t"),
        ("sep=\\t\n", "\t"),
        ("sep=|\n", "|"),
        ("sep=^\n", "^"),
        ("\nsep=;;;\n\n", ";"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_first_line_may_name_the_separator(first, mark, name, file):
    source = read_file(file(name, f'{first}text{mark}label\none or 2 "x"{mark}1\ntwo{mark}0\n'))
    above = first.count("\n")
    assert [(row.line, row.values) for row in source.rows()] == [
        (above + 2, {"text": 'one or 2 "x"', "label": "1"}),
        (above + 3, {"text": "two", "label": "0"}),
    ]


def test_a_column_may_be_called_so(file):
    assert read_file(file("a.csv", "sep=x,label\none,1\n")).columns == ["sep=x", "label"]
