"""Pictures of a request: they come with it, and are gone with it.

refuse_files(task, rows, columns)   ->  400 for a row that names a file of this machine
with as_files(task, rows) as rows:  ->  rows whose pictures are files for as long
with looked_at(turns) as turns:     ->  the same of the turns of a conversation
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


def refuse_shown(rows: Sequence[Any]) -> None:
    """Rows of conversations show no pictures: a path among them is one of whoever asks, not of this machine.

    Raises:
        Refused: 400.
    """
    from weitiao.data.formats.turned import IMAGES, KINDS

    def shows(value: Any) -> bool:
        if isinstance(value, Mapping):
            return value.get("type") in KINDS or bool(value.get(IMAGES)) or any(map(shows, value.values()))
        return isinstance(value, list) and any(map(shows, value))

    for number, row in enumerate(rows, start=1):
        if shows(row):
            raise Refused(400, reason("rows_show_none", number=number), code="unsupported_value")


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


@contextmanager
def looked_at(
    turns: Sequence[Mapping[str, Any]], processor: Any, *, model: str
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Turns, the pictures of their parts as files of a folder that goes when the prompt is made, which has read them.

    Args:
        turns: as chat templates take them, those that show pictures in OpenAI's parts.
        processor: of the model that is asked.
        model: its name.

    Raises:
        Refused: 400 where the model sees none, for an address of elsewhere, or what is no picture.
        WeitiaoError: `chat_template`.
    """
    from weitiao.data.chat import Seeing
    from weitiao.data.pictures.opening import Unreadable
    from weitiao.data.pictures.reference import INLINE, filed
    from weitiao.stages.speaker import turns_of

    if not isinstance(processor, Seeing):
        raise Refused(400, reason("sees_no_pictures", model=model), code="unsupported_value")
    with TemporaryDirectory(prefix="weitiao-") as folder:

        def part(given: Mapping[str, Any], number: int) -> Mapping[str, Any]:
            if given["type"] != "image_url":
                return given
            url = given["image_url"]["url"]
            if not url.startswith(INLINE):
                raise Refused(400, reason("picture_not_fetched", number=number), code="unsupported_value")
            try:
                return {"type": "image_url", "image_url": {"url": filed(url, Path(folder))}}
            except Unreadable as error:
                raise Refused(400, reason("turn_shows_none", number=number, why=error)) from None

        found: list[Mapping[str, Any]] = []
        for number, turn in enumerate(turns, start=1):
            content = turn["content"]
            if isinstance(content, list):
                content = [part(each, number) for each in content]
            found.append({**turn, "content": content})
        yield turns_of(found)


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
