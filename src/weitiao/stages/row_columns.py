"""The columns of judged rows, as their files have them: a run keeps what it learns from alone.

columns(run, lines, ["shop"])             ->  {"shop": ["a", "b", None, ...]}, a value a test row
column_of(run, rows, "shops.csv", "shop")  ->  the same of a file of its own, where texts are the same
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from weitiao.core.contracts import Record
from weitiao.core.errors import fault
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.data import formats
from weitiao.data.check import SIDES
from weitiao.data.equal_text import normalised
from weitiao.data.read import parted, read
from weitiao.stages.data import located
from weitiao.stages.explained import Explained
from weitiao.stages.kept_rows import kept


class Placed(Protocol):
    """What is known of whose rows they are: a run."""

    folder: RunFolder

    @property
    def path(self) -> Path:
        """Its folder."""

    @property
    def recipe(self) -> Recipe:
        """Where its rows came from."""

    @property
    def results(self) -> dict[str, Any]:
        """`results.json`."""


def columns(run: Placed, lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    """The values of each row in these columns; None where it has none.

    Args:
        run: judged.
        lines: of its `predictions.jsonl`, in order.
        names: of columns.

    Raises:
        WeitiaoError: `no_such_by` for a column that no file of the rows has; what reading the files raises.
    """
    if not names:
        return {}
    place = {id: row for row, id in enumerate(_ids(run, lines))}
    found: dict[str, list[Any]] = {name: [None] * len(lines) for name in names}
    known: dict[str, None] = {}
    for said, path in _files(run):
        for source in read(
            [path], encoding=run.recipe.data.encoding, seed=run.recipe.seed, format=run.recipe.data.format
        ):
            there = False
            for record in source.rows():
                if not isinstance(record, Record):
                    continue
                file = said if record.file == path else record.file
                row = place.get(Record(file, record.line, {}, record.nth).id)
                if row is None:
                    continue
                there = True
                for name in names:
                    found[name][row] = record.values.get(name)
            known |= dict.fromkeys(source.columns) if there else {}
    for name in names:
        if name not in known:
            hint = formats.hint(name, [*known])
            raise fault("no_such_by", run=run.path, column=name, found=", ".join(known) or "-", hint=hint)
    return found


def column_of(run: Explained, rows: Sequence[Record], path: Path, column: str) -> list[Any]:
    """The value of each row in a column of another file, which has the same texts; None where it has none, or two.

    Args:
        run: whose rows they are; it reads the file as it reads what is to be predicted.
        rows: in order.
        path: of a table.
        column: in there.

    Raises:
        WeitiaoError: `no_group_column`, `no_group_rows`; what reading the file raises.
    """
    asked = run.asked(path)
    asked.count()
    if column not in asked.columns:
        hint = formats.hint(column, list(asked.columns))
        raise fault("no_group_column", path=path, column=column, found=", ".join(asked.columns), hint=hint)
    shape, said = run.task.shape, dict[str, Any]()

    def text(values: Mapping[str, Any]) -> str:
        return "\0".join(map(normalised, shape.texts(shape.asks(values)).values()))

    for came, record in asked:
        key, value = text(record.values), came.values.get(column)
        said[key] = value if said.get(key, value) == value else None
    found = [said.get(text(row.values)) for row in rows]
    if not any(text(row.values) in said for row in rows):
        raise fault("no_group_rows", path=path, rows=len(rows))
    return found


def _ids(run: Placed, lines: Sequence[Mapping[str, Any]]) -> list[str]:
    if run.results.get("given"):
        return [f"{line['file']}:{line['line']}" for line in lines]
    return [record.id for record, _ in kept(run.folder, "test")]


def _files(run: Placed) -> list[tuple[str, str]]:
    """Each file as rows name it, and where it lies now: relative paths are meant from where the run began."""
    given = run.results.get("given")
    if given:
        names = [str(name) for name in given["files"]]
    else:
        data = located(run.recipe.data)
        names = [name for side in SIDES for name in getattr(data, side)]
    began = run.folder.json("facts.json").get("cwd", "")
    found = []
    for name in names:
        path = parted(name)[0]
        from_there = os.path.join(began, path)
        lies = from_there if not Path(path).exists() and Path(from_there).exists() else path
        found.append((path, lies))
    return found
