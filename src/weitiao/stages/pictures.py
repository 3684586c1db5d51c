"""What a model of pictures is asked: files, folders, tables that name them, and pictures in memory, as its task reads them.

    asked("cat.jpg", run)                ->  Questions
    asked("photos/", run)                ->  every picture below, whatever folders they lie in
    asked("new.csv", run, {"image": "path"}) ->  the rows of a table, whose pictures lie below its folder

What a user names himself may lie anywhere; what a table names must lie below the table's folder, as in training.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.why import reason
from weitiao.data import formats
from weitiao.data.formats.pictured import ANYWHERE, home
from weitiao.data.pictures.looks import looked
from weitiao.data.pictures.opening import ENDINGS, Unreadable
from weitiao.data.pictures.reference import inside
from weitiao.data.read import BadRow
from weitiao.stages.asking import Answering, Given, Questions, given_rows, names_a_file


def asked(given: Any, run: Answering, columns: Mapping[str, str] | None = None) -> Questions:
    """What is given to be looked at.

    Args:
        given: the path of a picture, a folder or a table; paths; rows (dicts), whose picture may also be bytes or a picture of
            Pillow's; pictures of Pillow's; a pandas table, a `datasets.Dataset`.
        run: whose task and recipe say which column is read.
        columns: our column -> theirs, as `data.columns`.

    Raises:
        WeitiaoError: `not_texts` for anything else; `no_asked_column`; `folder_for_rows`; what reading a file raises.
    """
    (column,) = run.task.shape.pictures
    rows = _rows(given, run, column)
    theirs = _found_as(column, rows, run, columns or {})
    root = ANYWHERE if rows.bare or not rows.file else home(rows.file)

    @cache
    def path_of(row: int, value: Any) -> tuple[str, str]:
        """Where a picture lies, or why it cannot be used."""
        try:
            path = inside(os.path.abspath(value) if root == ANYWHERE and _is_path(value) else value, root)
            looked(path)
        except Unreadable as error:
            return "", str(error)
        return path, ""

    def found(row: Record) -> tuple[str, str]:
        value = row.values.get(theirs)
        # What cannot be a key of a dictionary is looked at each time.
        return path_of(row.line, value) if isinstance(value, str) else path_of.__wrapped__(row.line, value)

    def convert(row: Record) -> Record:
        return Record(row.file, row.line, run.task.record(found(row)[0]), row.nth)

    return Questions(
        list(rows.columns),
        {column: theirs},
        rows.rows,
        convert,
        rows.file,
        rows.bare,
        unusable=lambda row: found(row)[1],
    )


def _is_path(value: Any) -> bool:
    return isinstance(value, str | os.PathLike) and not str(value).startswith("data:")


def _rows(given: Any, run: Answering, column: str) -> Given:
    """Rows that hold a picture each."""
    if isinstance(given, str | Path):
        given = str(given)
        if os.path.isdir(given):
            return _listed(_below(Path(given)), column)
        if Path(given).suffix.lower() in ENDINGS or not names_a_file(given):
            return _listed([given], column)
        return given_rows(Path(given), run, None, items_of=lambda these: these)
    if hasattr(given, "convert") and not _is_table(given):
        return _listed([given], column)
    if isinstance(given, Iterable) and not isinstance(given, Mapping | bytes) and not _is_table(given):
        items: list[Any] = list(given)
        if items and all(_is_path(item) or hasattr(item, "convert") for item in items):
            return _listed([path for item in items for path in _each(item)], column)
        given = items
    return given_rows(given, run, None, items_of=_as_dicts)


def _each(item: Any) -> list[Any]:
    """A picture, or all of a folder."""
    return _below(Path(item)) if _is_path(item) and os.path.isdir(item) else [item]


def _is_table(given: Any) -> bool:
    return hasattr(given, "columns") or hasattr(given, "column_names")


def _as_dicts(given: Any) -> list[Any]:
    """Rows of a table, or rows; their pictures stay what they are."""
    if isinstance(given, Mapping):
        return [dict(given)]
    if isinstance(given, list) and all(isinstance(row, Mapping) for row in given):
        return [dict(row) for row in given]
    from weitiao.stages.asking import items_of

    return items_of(given)


def _listed(items: list[Any], column: str) -> Given:
    values = [os.fspath(item) if _is_path(item) else item for item in items]
    records = [Record("", number, {column: value}) for number, value in enumerate(values, start=1)]

    def rows() -> Iterator[Record | BadRow]:
        return iter(records)

    return Given([column], rows, bare=True)


def _below(folder: Path) -> list[str]:
    """Every picture below a folder, in sorted order; hidden ones are passed over.

    Raises:
        WeitiaoError: `folder_for_rows` when there is none.
    """
    found = []
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            os.path.join(here, name)
            for name in files
            if Path(name).suffix.lower() in ENDINGS and not name.startswith(".")
        ]
    if not found:
        raise fault("folder_for_rows", path=folder)
    return sorted(found)


def _found_as(column: str, rows: Given, run: Answering, columns: Mapping[str, str]) -> str:
    """What the pictures' column is called in these rows.

    Raises:
        WeitiaoError: `unread_column`, `no_asked_column`.
    """
    for name in columns:
        if name != column:
            raise fault("unread_column", column=name, known=column, hint=did_you_mean(name, [column]))
    if rows.bare:
        return column
    named = [columns.get(column, ""), run.recipe.data.columns.get(column, ""), column, "file_name"]
    if columns.get(column) and columns[column] not in rows.columns:
        named = [columns[column]]
    theirs = next((name for name in named if name and name in rows.columns), "")
    if not theirs:
        raise fault(
            "no_asked_column",
            path=rows.file or reason("the_table"),
            column=named[0] or column,
            ours=column,
            found=", ".join(rows.columns),
            hint=formats.hint(column, rows.columns),
        )
    return theirs
