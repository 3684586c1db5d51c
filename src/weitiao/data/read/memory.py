"""Tables in memory in, plain JSON values out.

    pandas.DataFrame({"text": ["a"], "label": [nan]})  ->  [{"text": "a", "label": None}]

Parquet, Excel and Hugging Face data sets hold typed values too, and use the same `plain`.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Mapping
from typing import Any

from weitiao.core.errors import fault
from weitiao.core.why import because, reason
from weitiao.data.read.tables import stands_twice, twice


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
            from weitiao.data.read.hugging import values_of

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


def plain_row(row: Mapping[str, Any], *, shared: bool = True) -> dict[str, Any]:
    """A row of plain values, every column of it; `shared` as in `plain`.

    Raises:
        ValueError: for bytes that are no UTF-8 text, and for two names that are written alike (3 and "3").
    """
    found = {str(name): plain(value, shared=shared) for name, value in row.items()}
    if len(found) < len(row):
        raise ValueError(stands_twice(twice([str(name) for name in row]) or ""))
    return found


def plain(value: Any, *, shared: bool = True) -> Any:
    """A JSON value: NumPy scalars become Python's, a missing cell (NaN, NaT) becomes None, a date its ISO form.

    A whole number is one, also where a column with a hole had to store it as a float.

    Args:
        shared: do objects of all rows share one structure, as Arrow has it?  Then a null in one was written by
            nobody: another row has that key, and so it is left out.

    Raises:
        ValueError: for bytes that are no UTF-8 text.
    """
    if value is None or isinstance(value, str | bool | int):
        # Subclasses of these, such as numpy.str_, are no plain values to every writer.
        return value if type(value) in (str, bool, int, type(None)) else _base(value)
    if isinstance(value, float):
        return None if value != value else int(value) if value.is_integer() and shared else float(value)
    if isinstance(value, Mapping):
        items = ((str(key), plain(item, shared=shared)) for key, item in value.items())
        return {key: item for key, item in items if not (shared and item is None)}
    if isinstance(value, list | tuple):
        return [plain(item, shared=shared) for item in value]
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, decimal.Decimal):
        return None if value.is_nan() else int(value) if value == value.to_integral_value() else float(value)
    match type(value).__module__.partition(".")[0], type(value).__name__:
        case "numpy", _:
            # tolist gives Python's own numbers and lists; a scalar's NaN is still to be looked at.
            return plain(value.tolist(), shared=shared)
        case "pandas", "NAType" | "NaTType":
            return None
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value) if isinstance(value, datetime.timedelta) else value


def _base(value: Any) -> Any:
    return str(value) if isinstance(value, str) else int(value)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(reason("bytes_no_text", count=len(value))) from None
