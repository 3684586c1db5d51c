"""Rows given in memory: they become a file of the run, and errors name the table that was given, not that file.

wt.train(data=DataFrame, ...)  ->  runs/x/data/rows-1a2b3c.jsonl
runs/x/data/rows-1a2b3c.jsonl line 3: the text is empty  ->  row 3 of the DataFrame: the text is empty
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.files import write_lines
from weitiao.core.recipe import Data, Recipe
from weitiao.core.why import because, reason
from weitiao.data.read import table_rows
from weitiao.data.sides import SIDES


def rows_to_file(
    tree: Mapping[str, Any], overrides: Iterable[str] = (), *, folder: Path | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """A recipe with its rows in memory as files, so that a table is read, checked and resumed like any other.

    Args:
        tree: keys of a recipe; `data`, or its `train`, `validation` and `test`, may be a table.
        overrides: `key=value` words on top.
        folder: where the files are to lie; default: `data` in the run's folder.

    Returns:
        The recipe, and each file's path -> what was given, for `named_as_given`.

    Raises:
        WeitiaoError: what reading the recipe raises, before anything is written; `wrong_usage` for no table; `empty_file` for no rows.
    """
    data: Any = tree.get("data")
    if isinstance(data, list) and not data:
        raise fault("empty_file", path="data=[]", why=reason("no_rows"))
    # A mapping of columns is no section: what rows may be is said of it.
    section = isinstance(data, Mapping) and (
        not set(data).isdisjoint(Data.model_fields)
        or not all(isinstance(each, list) for each in data.values())
    )
    sides = {side: data[side] for side in SIDES if side in data} if section else {"train": data}
    for rows in sides.values():
        _refuse_texts(rows)
    tables = {side: rows for side, rows in sides.items() if rows is not None and not named_files(rows)}
    if not tables:
        return dict(tree), {}
    named = {side: named_rows(rows) for side, rows in tables.items()}
    words = dict(data) if section else {}
    # A mistyped keyword leaves no folder behind.
    asked = Recipe.read(
        {**tree, "data": words | {side: name for side, (_, name) in named.items()}}, overrides
    )
    folder = folder or Path(asked.output_dir) / "data"
    paths = {side: str(folder / f"{name}.jsonl") for side, (_, name) in named.items()}
    for side, (lines, _) in named.items():
        write_lines(Path(paths[side]), lines)
    found = {**tree, "data": words | paths}
    return found, {paths[side]: type(rows).__name__ for side, rows in tables.items()}


@contextmanager
def lent(tree: Any, overrides: Iterable[str] = ()) -> Iterator[tuple[Any, Callable[[Any], None]]]:
    """A recipe whose rows in memory are files meanwhile, and a word that keeps them for as long as something is held.

    Raises:
        WeitiaoError: as `rows_to_file`; errors of what is done inside name the table (`named_as_given`).
    """
    if not isinstance(tree, Mapping):
        yield tree, lambda thing: None
        return
    given: dict[str, str] = {}
    folder, held = Path(tempfile.mkdtemp(prefix="weitiao-rows-")), list[Any]()
    try:
        found, given = rows_to_file(tree, overrides, folder=folder)
        with named_as_given(given):
            yield found, held.append
    finally:
        if held and given:
            weakref.finalize(held[0], shutil.rmtree, folder, ignore_errors=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def named_files(data: Any) -> bool:
    """Is this a file's name, or several?"""
    return isinstance(data, str | Path) or (
        isinstance(data, list | tuple) and all(isinstance(each, str | Path) for each in data)
    )


def _refuse_texts(data: Any) -> None:
    """Texts in a list are no files.

    Raises:
        WeitiaoError: `wrong_usage` where most of several strings, or one with white space in it, look like no file.
    """
    if not isinstance(data, list | tuple) or not all(isinstance(each, str) for each in data):
        return
    strange = [each for each in data if not _names_file(each)]
    if 2 * len(strange) > len(data) and (len(data) > 1 or any(map(str.isspace, strange[0]))):
        first = strange[0] if len(strange[0]) <= 60 else strange[0][:57] + "..."
        raise fault("wrong_usage", **because("texts_for_files", first=" ".join(first.split())))


def _names_file(text: str) -> bool:
    """Is there such a file, or does it at least look like the name of one, or of a data set?"""
    from weitiao.models.assets import catalog

    if (
        re.search(r"\.\w{1,8}(#\d+)?$|^[^\s]*[/\\][^\s]*$", text)
        or text.partition("#")[0] in catalog.DATASETS
    ):
        return True
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # longer than any name, or with what no name may hold
        return False


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
        values = {name: renamed(value, given) for name, value in error.values.items()}
        if values == error.values:
            raise
        again = WeitiaoError(error.code, **values)
        again.exit_code = error.exit_code
        raise again from error


def renamed(value: Any, given: Mapping[str, str]) -> Any:
    """A text, or what lists and mappings hold of texts, with tables and their rows in the place of files and their lines."""
    if isinstance(value, Mapping):
        return {renamed(key, given): renamed(each, given) for key, each in value.items()}
    if isinstance(value, list):
        return [renamed(each, given) for each in value]
    if not isinstance(value, str | Path):
        return value
    text = str(value)
    for path, kind in given.items():
        row = reason("row_of_table", line=r"\1", kind=kind)
        text = re.sub(rf"{re.escape(path)}(?: line | 第 )(\d+)(?: 行)?", row, text)
        text = text.replace(path, reason("named_table", kind=kind))
    return text if text != str(value) else value
