"""Parquet in, one record a row out, a thousand rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import fault, need
from weitiao.core.why import reason
from weitiao.data.read.source import BadRow, Source
from weitiao.data.read.tables import checked_header
from weitiao.data.read.text import file_sha256
from weitiao.data.read.values import plain_row

BATCH = 1000


def read_parquet(path: Path, *, format: str) -> Source:
    """Open a Parquet file; the line of a row is its number, from 1.

    Raises:
        WeitiaoError: `missing_extra`, `bad_file`, `bad_header`; what opening a file raises.
    """
    name, sha256 = str(path), file_sha256(path)
    with _opened(path) as file:
        columns = checked_header(name, list(file.schema_arrow.names))

    def rows() -> Iterator[Record | BadRow]:
        number = 0
        with _opened(path) as file:
            for batch in file.iter_batches(batch_size=BATCH):
                for number, row in enumerate(_rows(batch), start=number + 1):  # noqa: B020 - it goes on counting
                    try:
                        values = plain_row(row()[0])
                    except ValueError as error:
                        yield BadRow(name, number, reason("cell_unreadable", why=error))
                    else:
                        yield Record(name, number, values)

    return Source(name, format, "", sha256, columns, rows)


def _rows(batch: Any) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """For every row something that gives a list of it alone, or raises what is wrong with it."""
    try:
        whole = batch.to_pylist()
    except UnicodeDecodeError:  # a column of strings that are none: find out which rows
        yield from (batch.slice(at, 1).to_pylist for at in range(batch.num_rows))
    else:
        yield from ([row].copy for row in whole)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    need("pyarrow", extra="data")
    parquet = need("pyarrow.parquet", extra="data")
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (OSError, ValueError, NotImplementedError) as error:  # ArrowInvalid is a ValueError
        why = str(error).partition("\n")[0].rstrip(".")
        raise fault("bad_file", path=path, format="Parquet", why=why) from None
