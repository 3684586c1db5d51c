"""Typed values in, plain JSON values out: what tables in memory, Parquet, Excel and Hugging Face data sets hold.

plain(numpy.float64("nan"))  ->  None        plain_row({"when": date(2024, 2, 29)})  ->  {"when": "2024-02-29"}
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Mapping
from typing import Any

from weitiao.core.why import reason
from weitiao.data.read.tables import stands_twice, twice


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
