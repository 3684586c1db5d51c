"""Rows given in memory: they become a file of the run, and errors name the table that was given, not that file.

wt.train(data=DataFrame, ...)  ->  runs/x/data/rows-1a2b3c.jsonl
runs/x/data/rows-1a2b3c.jsonl line 3: the text is empty  ->  row 3 of the DataFrame: the text is empty
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.files import write_lines
from weitiao.core.recipe import Data, Recipe
from weitiao.core.why import reason
from weitiao.data.read import table_rows


def rows_to_file(words: Mapping[str, Any], base: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The words with rows in memory as a file of the run, so that a table is read, checked and resumed like any other.

    Args:
        words: keys of a recipe.
        base: the keys of the recipe that they change.

    Returns:
        The words, and the file's path -> what was given, for `named_as_given`.

    Raises:
        WeitiaoError: what reading the recipe raises, before anything is written; `wrong_usage` for no table; `empty_file` for no rows.
    """
    data = words.get("data")
    if isinstance(data, Path):
        data = str(data)
    if isinstance(data, list) and not data:
        raise fault("empty_file", path="data=[]", why=reason("no_rows"))
    # A mapping of columns is no section: what rows may be is said of it.
    section = isinstance(data, Mapping) and (not data or not set(data).isdisjoint(Data.model_fields))
    lists = isinstance(data, Mapping) and all(isinstance(each, list) for each in data.values())
    rows = data.get("train") if isinstance(data, Mapping) and (section or not lists) else data
    if (
        rows is None
        or isinstance(rows, str)
        or (isinstance(rows, list) and all(isinstance(r, str) for r in rows))
    ):
        return ({**words, "data": {"train": rows}} if isinstance(data, str | list) else dict(words)), {}
    if "output_dir" not in {**base, **words}:
        raise fault("missing_key", key="output_dir")
    lines, name = named_rows(rows)
    path = Path(str({**base, **words}["output_dir"])) / "data" / f"{name}.jsonl"
    found = {**words, "data": {**(dict(data) if isinstance(data, Mapping) else {}), "train": str(path)}}
    Recipe.read({**base, **found})  # a mistyped keyword leaves no folder behind
    write_lines(path, lines)
    return found, {str(path): type(rows).__name__}


def named_rows(table: Any) -> tuple[list[Mapping[str, Any]], str]:
    """The rows of a table, and a name that other rows do not have.

    Raises:
        WeitiaoError: as `table_rows`; `empty_file` for no rows.
    """
    lines = table_rows(table)
    if not lines:
        raise fault(
            "empty_file", path=reason("named_table", kind=type(table).__name__), why=reason("no_rows")
        )
    print = hashlib.sha256(json.dumps(lines, sort_keys=True, default=str).encode()).hexdigest()[:12]
    return lines, f"rows-{print}"


@contextmanager
def named_as_given(given: Mapping[str, str]) -> Iterator[None]:
    """Errors of what is done inside name the table that was given and its row, counted from 1."""
    try:
        yield
    except WeitiaoError as error:
        values = {name: _renamed(value, given) for name, value in error.values.items()}
        if values == error.values:
            raise
        again = WeitiaoError(error.code, **values)
        again.exit_code = error.exit_code
        raise again from error


def _renamed(value: Any, given: Mapping[str, str]) -> Any:
    if not isinstance(value, str | Path):
        return value
    text = str(value)
    for path, kind in given.items():
        row = reason("row_of_table", line=r"\1", kind=kind)
        text = re.sub(rf"{re.escape(path)}(?: line | 第 )(\d+)(?: 行)?", row, text)
        text = text.replace(path, reason("named_table", kind=kind))
    return text if text != str(value) else value
