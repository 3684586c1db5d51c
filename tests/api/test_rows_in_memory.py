"""Rows in memory, on every side of the data: the words that take them treat them as a file of the same rows."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import pytest

import weitiao as wt
from tests.conftest import reviews, write_csv
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.core.recipe import Recipe
from weitiao.stages.in_memory import rows_to_file

pandas = pytest.importorskip("pandas")


@pytest.fixture(autouse=True)
def own_room(tmp_path_factory, monkeypatch):
    """Where rows are lent to files: other tests lend theirs at the same time."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("lent")))


def lent() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("weitiao-rows-*"))


def test_each_side_of_a_mapping_may_be_a_table(classify, tmp_path):
    sides = {"train": reviews(30), "validation": reviews(7), "test": reviews(5)}
    tables = {side: pandas.DataFrame(rows) for side, rows in sides.items()} | {"test": sides["test"]}
    found, given = rows_to_file({**classify(), "data": {**tables, "duplicates": "keep"}})
    assert found["data"]["duplicates"] == "keep"
    assert sorted(given.values()) == ["DataFrame", "DataFrame", "list"]
    for side, rows in sides.items():
        path = Path(Recipe.read(found).model_dump()["data"][side][0])
        assert list(read_lines(path)) == rows
        assert path.parent == Path(found["output_dir"]) / "data"


def test_the_folder_is_the_one_of_an_override(classify, tmp_path):
    found, _ = rows_to_file({**classify(), "data": reviews(20)}, [f"output_dir={tmp_path / 'other'}"])
    assert Path(found["data"]["train"]).parent == tmp_path / "other" / "data"


@pytest.mark.whole
def test_a_plan_of_a_table_is_that_of_its_file(classify, tmp_path):
    rows, before = reviews(40), lent()
    file = str(write_csv(tmp_path / "rows.csv", rows))
    by_file = wt.plan({**classify(max_steps=2), "data": {"train": file}})
    by_table = wt.plan({**classify(max_steps=2), "data": {"train": pandas.DataFrame(rows)}})
    assert (by_table.rows, by_table.steps, by_table.batch) == (by_file.rows, by_file.steps, by_file.batch)
    assert Path(by_table.recipe.data.train[0]).is_file(), "its recipe can be trained"
    assert not Path(by_table.recipe.output_dir).exists()
    del by_table
    gc.collect()
    assert lent() == before


def test_a_table_is_checked_and_repaired(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = lent()
    rows = [*reviews(20), {"text": " ", "label": "good"}]
    found = wt.check(pandas.DataFrame(rows))
    assert [one["line"] for one in found.bad] == [21]
    assert "rows in memory" in repr(found)
    told = repr(found.diagnosis) + repr(found.to_dict()) + repr(found.bad)
    assert "weitiao-rows" not in told
    assert "row 21 of the DataFrame" in told
    (copy,) = found.fix()
    assert copy.path.resolve().parent == tmp_path.resolve()
    assert list(read_lines(copy.path)) == rows[:20]
    del found
    gc.collect()
    assert lent() == before


@pytest.mark.parametrize(
    "texts",
    [
        ["fine", "dull", "so so"],
        ["From: a@b\n\nHello", "From: c@d\n\nBye"],
        ["A film.\nTwo lines"],
        ["很好看", "太差了"],
        ["x" * 5000, "a\0b"],
    ],
)
def test_texts_are_no_names_of_files(classify, texts):
    for ask in (lambda: wt.check(texts), lambda: wt.train({**classify(), "data": {"train": texts}})):
        with pytest.raises(WeitiaoError, match=r"wrong_usage(?s:.)*names of files(?s:.)*rows, \[\{"):
            ask()


@pytest.mark.parametrize("names", [["a.csv", "b.csv"], ["film-reviews"], ["film-reviws"], ["my rows.csv"]])
def test_names_of_files_are_no_texts(names):
    rows_to_file({"model": "m", "task": "t", "output_dir": "o", "data": {"train": names}})


@pytest.mark.parametrize("make", [pandas.DataFrame, list, lambda rows: pandas.Series(["From: a\n\nb"] * 3)])
def test_where_files_alone_are_taken_a_table_is_no_list_of_names(classify, make):
    for data in (make(reviews(9)), {"train": make(reviews(9))}):
        with pytest.raises(
            WeitiaoError, match=r"wrong_value(?s:.)*names of files(?s:.)*data=TABLE"
        ) as caught:
            wt.compare({**classify(), "data": data}, methods=["head", "full"])
        assert len(str(caught.value)) < 1200, "not the whole table"


def test_where_files_alone_are_taken_texts_are_no_names(classify):
    with pytest.raises(WeitiaoError, match=r"wrong_value(?s:.)*names of files"):
        wt.compare({**classify(), "data": ["From: a@b\n\nHello", "From: c@d\n\nBye"]}, methods=["head"])


def test_a_table_for_a_recipe_is_told_where_it_goes(classify):
    with pytest.raises(WeitiaoError, match=r"no_recipe(?s:.)*data=TABLE"):
        wt.train(pandas.DataFrame(reviews(9)), model="m")
