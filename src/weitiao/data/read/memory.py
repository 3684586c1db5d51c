"""Tables in memory in, plain JSON values out.

pandas.DataFrame({"text": ["a"], "label": [nan]})  ->  [{"text": "a", "label": None}]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weitiao.core.errors import fault
from weitiao.core.why import because, reason
from weitiao.data.read.hugging import values_of
from weitiao.data.read.tables import stands_twice, twice
from weitiao.data.read.values import plain_row


def table_rows(table: Any) -> list[Mapping[str, Any]]:
    """The rows of a pandas table, a `datasets.Dataset`, a pyarrow Table, or a list of dicts.

    Raises:
        WeitiaoError: `wrong_usage` when it is none of these, or holds bytes that are no text; `bad_header` when two
            columns have one name.
    """
    rows: Any
    match type(table).__module__.partition(".")[0], type(table).__name__:
        case "pandas", "DataFrame":
            _once(table)
            rows = table.to_dict("records")
        case "pyarrow", "Table":
            _once(table)
            rows = table.to_pylist()
        case "datasets", "Dataset":
            rows = list(values_of(table))
        case _:
            rows = table
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise fault("wrong_usage", **because("no_table", type=type(table).__name__))
    try:
        # Of a list of dicts every null was written by somebody.
        return [plain_row(row, shared=rows is not table) for row in rows]
    except ValueError as error:
        raise fault("wrong_usage", **because("row_unreadable", why=error)) from None


def _once(table: Any) -> None:
    """Of two columns of one name a row can hold the last alone."""
    names = [str(name) for name in (table.columns if hasattr(table, "to_dict") else table.column_names)]
    if name := twice(names):
        raise fault(
            "bad_header", path=reason("named_table", kind=type(table).__name__), why=stands_twice(name)
        )
