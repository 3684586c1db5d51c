"""The rows of a run lie in its folder, so that it needs the files they came from no more.

keep(folder, {"train": rows, "validation": rows, "test": rows}, groups)  ->  data/*.jsonl*, and their hashes in facts.json too
kept(folder, "train")  ->  the records of that side, as they were dealt

Rows are kept as they were converted, and before any was made of them: in the columns of their shape.  The test rows are
plain text, to be looked at; the others are many and packed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from weitiao.core.contracts import Record, Shape
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.files import read_lines, sha256, stream_lines, write_json, write_lines
from weitiao.core.run import RunFolder
from weitiao.core.sections import Data
from weitiao.core.why import reason
from weitiao.data.equal_text import digest, normalised
from weitiao.data.near import near_groups
from weitiao.data.near_rows import near_rows

FILES = {"train": "train.jsonl.gz", "validation": "validation.jsonl.gz", "test": "test.jsonl"}


def keep(
    folder: RunFolder, rows: Mapping[str, Sequence[Record]], groups: Mapping[str, np.ndarray]
) -> dict[str, str]:
    """Write the rows of each side, one after the other, and lock them by their hashes, which come back.

    Args:
        folder: of the run; its `facts.json` hears of the hashes, if it is there.
        rows: side -> its rows.
        groups: side -> of each row (N,), the rows it belongs together with.
    """
    prints = {}
    for side, name in FILES.items():
        path, group = folder.path / "data" / name, groups[side].tolist()
        write_lines(path, (as_line(row, group=one) for row, one in zip(rows[side], group, strict=True)))
        prints[side] = sha256(path)
    if known := folder.json("facts.json"):
        known["fingerprints"] |= prints
        write_json(folder.path / "facts.json", known)
    return prints


def kept(folder: RunFolder, side: str) -> Iterator[tuple[Record, int]]:
    """Every row of a side, and the group that it belongs to.

    Raises:
        WeitiaoError: `broken_rows` when they are not what was dealt to that side.
    """
    path, dealt = folder.path / "data" / FILES[side], folder.json("data/split.json").get(side, [])
    if not dealt:
        return
    if not path.is_file() or sha256(path) != folder.json("facts.json")["fingerprints"].get(side):
        raise _broken(folder, side, dealt)
    there = 0
    for there, line in enumerate(stream_lines(path), start=1):
        # A run of before groups were kept has none: each row was taken for one of its own.
        record, group = as_record({"group": there - 1, **line})
        if record.id not in dealt[there - 1 : there]:
            raise _broken(folder, side, dealt)
        yield record, group
    if there < len(dealt):
        raise _broken(folder, side, dealt)


def seen_in_training(
    folder: RunFolder, records: Sequence[Record], shape: Shape, data: Data, *, near: bool = False
) -> int:
    """How many test rows are equal to a training row, or nearly so.

    Near ones are looked for where the split was told not to look (`data.near_duplicates: keep`): else it has kept them
    on one side.

    Args:
        folder: of the run.
        records: its test rows.
        shape: says by which text rows are the same.
        data: of the recipe.
        near: look for near ones in any case, as for rows that no split has dealt.

    Raises:
        WeitiaoError: as `kept`.
    """
    train = (row for row, _ in kept(folder, "train"))
    if data.near_duplicates != "keep" and not near:
        known = {digest(normalised(shape.group(row.values))) for row in train}
        return sum(digest(normalised(shape.group(row.values))) in known for row in records)
    if shape.pictures:
        groups = near_rows([*records, *train], shape, data)
        return int(np.isin(groups[: len(records)], groups[len(records) :]).sum())
    # Nearly the same is what is so column by column: prompts are often of one mould, and the answers are not.
    rows = [_columns(shape, row) for row in (*records, *train)]
    parts = [
        near_groups([row.get(column, "") for row in rows], threshold=data.near_duplicate_threshold)
        for column in sorted({column for row in rows for column in row})
    ]
    groups = np.unique(np.stack(parts), axis=1, return_inverse=True)[1].reshape(-1)
    return int(np.isin(groups[: len(records)], groups[len(records) :]).sum())


def _columns(shape: Shape, row: Record) -> dict[str, str]:
    """All that each column of a row says, such as every turn of a conversation; prompts of one mould are told apart by what
    else their rows hold, such as the right answer."""
    beside = (value.items() for value in row.values.values() if isinstance(value, Mapping))
    found = {f"row {name}": [str(value)] for columns in beside for name, value in columns}
    for address, text in shape.texts(row.values).items():
        found.setdefault(address.partition(".")[0], []).append(text)
    if shown := shape.shown(row.values):
        found["images"] = [str(each["sha256"]) for each in shown]
    return {column: normalised(" ".join(texts)) for column, texts in found.items()}


def as_line(record: Record, *, group: int = 0) -> dict[str, Any]:
    """A row as it is kept."""
    nth = {"nth": record.nth} if record.nth else {}
    return {"file": record.file, "line": record.line, **nth, "group": group, **record.values}


def as_record(line: dict[str, Any]) -> tuple[Record, int]:
    """The way back, with its group."""
    group = line.pop("group")
    return Record(line.pop("file"), line.pop("line"), line, line.pop("nth", 0)), group


def _broken(folder: RunFolder, side: str, dealt: Sequence[str]) -> WeitiaoError:
    path = folder.path / "data" / FILES[side]
    if not path.is_file():
        return fault("broken_rows", path=path, why=reason("rows_not_there"))
    there = len(read_lines(path)) if path.suffix == ".jsonl" else len(dealt)
    if there != len(dealt):
        why = reason("rows_missing", rows=there, dealt=len(dealt))
    else:
        why = reason("row_changed")
    return fault("broken_rows", path=path, why=why)
