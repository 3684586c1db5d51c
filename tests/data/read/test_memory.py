"""Tables in memory become plain rows."""

from __future__ import annotations

import json

import pytest

from tests.data.read.conftest import refused
from weitiao.data.read import table_rows


def test_a_table_in_memory_becomes_plain_rows():
    import pandas as pd

    table = pd.DataFrame({"text": ["a", None], "label": [1.0, float("nan")], 3: [True, False]})
    found = table_rows(table)
    assert found == [{"text": "a", "label": 1.0, "3": True}, {"text": None, "label": None, "3": False}]
    assert type(found[0]["label"]) is int, (
        "a column of whole numbers with a hole is one of floats to pandas alone"
    )
    assert all(type(v) in (str, int, bool, type(None)) for row in found for v in row.values())
    assert table_rows([{"a": 1}]) == [{"a": 1}]
    json.dumps(table_rows(pd.DataFrame({"n": [1, 2]})))


@pytest.mark.parametrize("thing", ["a.csv", 3, [1], ["a", {}], {"a": 1}])
def test_what_is_no_table_is_refused(thing):
    with refused("wrong_usage", "list of dicts"):
        table_rows(thing)


def test_two_columns_of_one_name_are_refused_by_their_name():
    import pandas as pd
    import pyarrow

    frame = pd.DataFrame({"text": ["a"], "label": ["x"]})
    with refused("bad_header", "DataFrame", '"text" stands twice'):
        table_rows(pd.concat([frame, frame["text"]], axis=1))
    with refused("bad_header", "DataFrame", '"3" stands twice'):
        table_rows(pd.DataFrame([["a", "b"]], columns=[3, "3"]))
    with refused("bad_header", "Table", '"text" stands twice'):
        table_rows(pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 2, names=["text", "text"]))
    with refused("wrong_usage", '"3" stands twice'):
        table_rows([{3: "a", "3": "b"}])
