"""The columns of judged rows, as their files have them: a run keeps what it learns from alone.

columns(run, lines, ["shop"])  ->  {"shop": ["a", "b", None, ...]}, a value a test row
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import fault
from weitiao.data import formats
from weitiao.data.check import SIDES
from weitiao.data.read import parted, read
from weitiao.stages.data import located
from weitiao.stages.kept_rows import kept
from weitiao.stages.run import Run


def columns(run: Run, lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
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


def _ids(run: Run, lines: Sequence[Mapping[str, Any]]) -> list[str]:
    if run.results.get("given"):
        return [f"{line['file']}:{line['line']}" for line in lines]
    return [record.id for record, _ in kept(run.folder, "test")]


def _files(run: Run) -> list[tuple[str, str]]:
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
