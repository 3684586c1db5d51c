"""Labels, numbers and tags are read as people write them; what is none is refused with a reason."""

from __future__ import annotations

import math

import pytest

from tests.conftest import write_csv
from tests.data.test_formats import OF, converted
from weitiao.core.contracts import Record
from weitiao.core.recipe import Data
from weitiao.data.formats import Unusable, as_label, convert
from weitiao.stages.data import guess as guess_data


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (1, "1"),
        (1.0, "1"),
        (1.5, "1.5"),
        ("1", "1"),
        (" good ", "good"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (None, None),
        ("", None),
        ("  ", None),
        (float("nan"), None),
        (float("inf"), "inf"),
        ("NA", "NA"),
        ("None", "None"),
    ],
)
def test_a_label_is_text(value, label):
    assert as_label(value) == label


@pytest.mark.parametrize("value", [["a", "b"], {"a": 1}, []])
def test_several_labels_are_no_label(value):
    with pytest.raises(Unusable, match="not one label"):
        as_label(value)


def test_white_space_around_a_label_is_a_repair_that_is_told():
    heard: list[str] = []
    assert converted("table", {"text": "t", "label": " a\t"}, repairs=heard)["label"] == "a"
    assert heard == ["white space around the label"]
    for label in ("a", 1.0, "", None, " "):
        converted("table", {"text": "t", "label": label}, repairs=heard)
    assert len(heard) == 1


def test_a_table_of_pairs_and_swapped_columns():
    row = {"text": "a", "text_pair": "b", "label": "x"}
    assert converted("table", row) == row
    assert converted("table", {**row, "text_pair": None}) == {"text": "a", "label": "x"}
    swapped = converted("table", {"text": "1", "label": "words"}, {"text": "label", "label": "text"})
    assert swapped == {"text": "words", "label": "1"}


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        (["b", "a"], ["b", "a"]),
        ([1, 2.0, True], ["1", "2", "true"]),
        ([], []),
        ("", []),
        ("a|b", ["a", "b"]),
        ("a; b ;c", ["a", "b", "c"]),
        ("a,b", ["a", "b"]),
        ("体育、财经", ["体育", "财经"]),
        ("a，b", ["a", "b"]),
        ("x, y|z", ["x, y", "z"]),  # the stronger mark counts
        ("science fiction", ["science fiction"]),
        (" New York ", ["New York"]),
        ("a||b|", ["a", "b"]),
        ('["Qualität", "x, y"]', ["Qualität", "x, y"]),  # as JSON
        ("['a b', 'it\\'s']", ["a b", "it's"]),  # as pandas writes a column of lists
        (" [] ", []),
        ("[3, 1]", ["3", "1"]),
        ("[urgent]", ["[urgent]"]),  # a label in brackets
        ("[urgent]; [late]", ["[urgent]", "[late]"]),
    ],
)
def test_several_labels_in_a_list_or_a_cell(cell, labels):
    assert converted("multi_label", {"text": "t", "labels": cell}) == {"text": "t", "label": labels}


@pytest.mark.parametrize(
    "cell", ['["a", "b"', "['a', b]", "['a' 'b']", "['a'\n 'b']", '["a"]; ["b"]', '["a" for a in "b"]']
)
def test_a_cell_that_begins_a_list_and_is_none_is_no_label(cell):
    for format, row in (
        ("multi_label", {"text": "t", "labels": cell}),
        ("tags", {"tokens": cell, "tags": "O"}),
    ):
        with pytest.raises(Unusable, match="begins as a list"):
            converted(format, row)


def test_a_label_that_stands_twice_is_a_repair_that_is_told():
    heard: list[str] = []
    assert converted("multi_label", {"text": "t", "labels": "a|b|a"}, repairs=heard)["label"] == ["a", "b"]
    assert heard == ["a label that stood twice"]


@pytest.mark.parametrize("labels", [None, 3, {"a": 1}, ["a", ""], ["a", None], ["a", ["b"]], [math.nan]])
def test_labels_that_are_none(labels):
    with pytest.raises(Unusable, match="not a list|is empty|not one label"):
        converted("multi_label", {"text": "t", "labels": labels})


@pytest.mark.parametrize(
    ("value", "number"), [(1, 1.0), ("-2e3", -2000.0), (" 4 ", 4.0), (None, None), ("", None), (" ", None)]
)
def test_a_number_to_be_learnt(value, number):
    assert converted("regression", {"text": "t", "label": value})["label"] == number


@pytest.mark.parametrize("decimal", ["point", "comma"])
@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1,234.50", 1234.5),
        ("1,234,567", 1234567.0),
        ("12.5", 12.5),
        ("$1,234.50", 1234.5),
        ("-$3.20", -3.2),
        ("€ -3.2", -3.2),
        ("240.50 €", 240.5),
        ("EUR 99", 99.0),
        ("99 USD", 99.0),
        ("1'234.5 CHF", 1234.5),
        ("1\u202f234.5", 1234.5),
        ("1.2345", 1.2345),
        ("1,23.4", None),
        ("1,2345.6", None),
        ("1,234'567", None),
        ("ca. 50", None),
        ("VB", None),
        ("5 kg", None),
        ("$5 €", None),
        ("12.5.", None),
        ("10%", None),
        ("", ""),
    ],
)
def test_numbers_as_people_write_them(written, number, decimal):
    cell = written if decimal == "point" else written.translate(str.maketrans(".,", ",."))
    cell = cell.replace("ca,", "ca.")
    row = Record("a.csv", 2, {"text": "t", "label": cell})
    if number is None:
        with pytest.raises(Unusable, match="no number|not a finite number"):
            convert(row, format="regression", columns={}, decimal=decimal)
    else:
        found = convert(row, format="regression", columns={}, decimal=decimal).values["label"]
        assert found == (number if cell else None)


def test_the_other_decimal_mark_is_named():
    for cell, decimal in (("12,5", "point"), ("12.5", "comma"), ("1.234,50 €", "point")):
        with pytest.raises(Unusable, match="data.decimal"):
            convert(
                Record("a", 1, {"text": "t", "label": cell}), format="regression", columns={}, decimal=decimal
            )


@pytest.mark.parametrize(
    ("cell", "shape", "decimal"),
    [
        ("240,50 €", "regression", "comma"),
        ("1.003,05", "regression", "comma"),
        ("$1,234.50", "regression", "point"),
        ("$45", "regression", "point"),
        ("3.5", "regression", "point"),
        ("3", "labelled", "point"),
        ("ABC", "labelled", "point"),
        ("inf", "labelled", "point"),
        ("1,234", "labelled", "point"),
    ],
)
def test_a_column_of_numbers_is_seen_however_they_are_written(tmp_path, cell, shape, decimal):
    file = tmp_path / "a.csv"
    file.write_text(f'text,label\na,"{cell}"\n', encoding="utf-8")
    found, keys = guess_data(Data(train=[str(file)]))
    assert found is OF["table" if shape == "labelled" else shape]
    assert keys.get("decimal", "point") == decimal
    assert guess_data(Data(train=[str(file)], decimal="point"))[1].get("decimal", "point") == "point"


@pytest.mark.parametrize(
    ("cells", "shape", "decimal"),
    [
        (["", "4", "1,5", "2"], "regression", "comma"),
        (["300"] * 9 + ["n/a", "4.5", *["7"] * 9], "regression", "point"),
        (["1.234", "12,5", "7"], "regression", "comma"),
        (["3.5", "good", "bad"], "table", "point"),  # words, and a slip
        (["", "1", "2"], "table", "point"),
    ],
)
def test_a_column_is_judged_by_its_first_hundred_rows(tmp_path, cells, shape, decimal):
    file = write_csv(tmp_path / "a.csv", [{"text": "a", "label": cell} for cell in cells])
    found, keys = guess_data(Data(train=[str(file)]))
    assert (found, keys.get("decimal", "point")) == (OF[shape], decimal)


@pytest.mark.parametrize("value", ["high", "1,5", math.nan, math.inf, "inf", True, [1], {}, 10**400])
def test_what_is_no_number(value):
    with pytest.raises(Unusable, match="not a finite number|data.decimal"):
        converted("regression", {"text": "t", "label": value})


def test_tags_in_lists_or_cells():
    assert converted("tags", {"tokens": "我 爱 你", "tags": "O O B"}) == {
        "tokens": ["我", "爱", "你"],
        "tags": ["O", "O", "B"],
    }
    spelt = converted(
        "tags", {"tokens": '["New York", "x"]', "tags": "['B', 'O']"}
    )  # lists, written into cells
    assert spelt == {"tokens": ["New York", "x"], "tags": ["B", "O"]}
    for tokens in (None, 3, {"a": 1}, [["a"]], [None]):
        with pytest.raises(Unusable, match="`tokens` is not a list of words"):
            converted("tags", {"tokens": tokens, "tags": ["O"]})
