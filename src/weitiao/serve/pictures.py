"""Pictures of a request: they come with it, and are gone with it.

refuse_files(task, rows, columns)   ->  400 for a row that names a file of this machine
with as_files(task, rows) as rows:  ->  rows whose pictures are files for as long
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from weitiao.core.contracts import Task
from weitiao.core.why import reason
from weitiao.serve.guard import Refused


def refuse_files(task: Task, rows: Sequence[Any], columns: Mapping[str, str]) -> None:
    """Pictures come with the request: whoever asks may not have files of this machine read.

    Raises:
        Refused: 400.
    """
    for column in task.shape.pictures:
        for number, row in enumerate(rows, start=1):
            values = row.values() if isinstance(row, Mapping) else [row]
            if not any(isinstance(value, str) and value.startswith("data:") for value in values):
                raise Refused(400, reason("picture_as_data", number=number, column=column))
            named = row.get(columns.get(column, column)) if isinstance(row, Mapping) else row
            if isinstance(named, str) and not named.startswith("data:"):
                raise Refused(400, reason("picture_as_data", number=number, column=column))


@contextmanager
def as_files(task: Task, rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The rows, their pictures as files of a folder that goes when they are answered."""
    if not task.shape.pictures:
        yield rows
        return
    with TemporaryDirectory(prefix="weitiao-") as folder:
        yield [
            {column: _as_file(value, Path(folder)) for column, value in row.items()}
            if isinstance(row, Mapping)
            else row
            for row in rows
        ]


def _as_file(value: Any, folder: Path) -> Any:
    from weitiao.data.pictures.opening import Unreadable
    from weitiao.data.pictures.reference import INLINE, filed

    if not isinstance(value, str) or not value.startswith(INLINE):
        return value
    try:
        return filed(value, folder)
    except Unreadable:
        return value  # what is wrong with it is told of its row, where rows are read


def as_url(content: bytes) -> str:
    """A picture as a `data:` URL; which kind it is, it says itself."""
    return f"data:image/*;base64,{base64.b64encode(content).decode()}"
