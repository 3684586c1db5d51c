"""Tables as pandas writes them to JSON unless it is told otherwise: told from rows, with the words that write rows.

{"text": {"0": "a", "1": "b"}}  ->  orient="columns";  {"columns": [...], "data": [[...]]}  ->  orient="split"
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from weitiao.core.errors import fault
from weitiao.core.why import because
from weitiao.data.read.text import Text

BEGINS = re.compile(
    r'\s*(?:\{\s*"(?:columns"\s*:\s*\[|-?\d+"\s*:\s*\{|(?:[^"\\]|\\.)*"\s*:\s*\{\s*"-?\d+"\s*:)|\[\s*\[)'
)
"""How such files begin: only one that begins so is read whole."""


def refuse_table(text: Text) -> None:
    """Nothing where a file holds no table by columns, by index or without names.

    Raises:
        WeitiaoError: `wrong_usage`, with the words that write it as rows.
    """
    if not BEGINS.match("".join(islice(text.blocks(), 1))):
        return
    try:
        orient = _orient(json.loads("".join(text.blocks())))
    except (ValueError, RecursionError):
        return
    if orient:
        raise fault("wrong_usage", **because("pandas_table", path=text.path, orient=orient))


def _orient(table: Any) -> str:
    """What pandas calls the shape; empty for another."""
    if isinstance(table, list):
        return "values" if len(table) > 1 and all(isinstance(row, list) for row in table) else ""
    if {"columns", "data"} <= set(table) <= {"columns", "index", "data"}:
        return "split"
    if not all(isinstance(each, Mapping) for each in table.values()):
        return ""
    if all(map(_number, table)):
        return "index"
    # Every column has all rows.
    same = len({frozenset(column) for column in table.values()}) == 1
    return "columns" if same and all(map(_number, next(iter(table.values())))) else ""


def _number(key: str) -> bool:
    return key.removeprefix("-").isdecimal()
