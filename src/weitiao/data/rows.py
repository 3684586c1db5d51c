"""Records on disk, so that a table may be larger than memory.

    rows = Rows(); rows.append(record); rows[17]  ->  Record;  rows.take([3, 1])  ->  Rows that share the file

What stays in memory is one offset a row.  The file is temporary and has no name: it is gone with the last `Rows`.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, overload

from weitiao.core.contracts import Record
from weitiao.core.files import disk

if TYPE_CHECKING:
    import numpy as np

BUFFERED = 1 << 20  # bytes
_json = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode  # json.dumps would make one a row


class Rows(Sequence[Record]):
    """Records in order, written once and read at will."""

    def __init__(self, records: Iterable[Record] = ()):
        self._store = _Store()
        self._picked: np.ndarray | None = None
        for record in records:
            self.append(record)

    def append(self, record: Record) -> None:
        """Add a record at the end.

        Raises:
            TypeError: of a view, which `take` made.
        """
        if self._picked is not None:
            raise TypeError("a view of rows takes none")
        self._store.append(record)

    def take(self, indices: Sequence[int] | np.ndarray) -> Rows:
        """Some of the rows, in the order asked for."""
        import numpy as np

        wanted = np.asarray(indices, dtype=np.int64)
        view = Rows.__new__(Rows)
        view._store, view._picked = self._store, wanted if self._picked is None else self._picked[wanted]
        return view

    def __len__(self) -> int:
        return len(self._store.bounds) - 1 if self._picked is None else len(self._picked)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> Record | Rows:
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._store.record(self._raw(index % len(self)))

    def __iter__(self) -> Iterator[Record]:
        return (self._store.record(self._raw(index)) for index in range(len(self)))

    def _raw(self, index: int) -> bytes:
        return self._store.raw(index if self._picked is None else int(self._picked[index]))

    def sha256(self) -> str:
        """A print of the rows' values, in order, wherever they were read from."""
        found = hashlib.sha256()
        for index in range(len(self)):
            raw = self._raw(index)
            found.update(raw[raw.index(b"{") :])
        return found.hexdigest()


class _Store:
    """One JSON text a record, end to end in a file, and where each begins."""

    def __init__(self) -> None:
        # Closed by the finalizer below, when the last view of it is gone.
        with disk(Path(tempfile.gettempdir())):
            self.file = tempfile.TemporaryFile(buffering=BUFFERED)  # noqa: SIM115
        weakref.finalize(self, _close, self.file)
        self.bounds = array("q", [0])
        self.written = 0
        self.names: list[str] = []
        self.numbers: dict[str, int] = {}

    def append(self, record: Record) -> None:
        if record.file not in self.numbers:
            self.numbers[record.file] = len(self.names)
            self.names.append(record.file)
        content: list[Any] = [self.numbers[record.file], record.line, record.nth, record.values]
        line = _json(content).encode("utf-8", "surrogatepass")
        self._told(self.file.write, line)
        self.bounds.append(self.bounds[-1] + len(line))

    def _told(self, write: Callable[..., Any], *content: bytes) -> None:
        """Write; a full disk becomes an error with a code."""
        try:
            write(*content)
        except OSError as error:
            with disk(Path(tempfile.gettempdir())):
                raise error

    def raw(self, index: int) -> bytes:
        start, end = self.bounds[index], self.bounds[index + 1]
        if end > self.written:
            self._told(self.file.flush)
            self.written = self.bounds[-1]
        return os.pread(self.file.fileno(), end - start, start)

    def record(self, raw: bytes) -> Record:
        number, line, nth, values = json.loads(raw.decode("utf-8", "surrogatepass"))
        return Record(self.names[number], line, values, nth)


def _close(file: IO[bytes]) -> None:
    with suppress(OSError):  # what a full disk did not take is not wanted any more
        file.close()
