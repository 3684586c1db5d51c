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
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, overload

from weitiao.core.contracts import Record

if TYPE_CHECKING:
    import numpy as np

BUFFERED = 1 << 20  # bytes


class _Shared:
    """What rows and their views hold in common; the file is closed when it goes."""


class Rows(Sequence[Record]):
    """Records in order, written once and read at will."""

    def __init__(self, records: Iterable[Record] = ()):
        self._file: IO[bytes] = tempfile.TemporaryFile(buffering=BUFFERED)  # noqa: SIM115
        self._shared = _Shared()
        # A destructor could come after the file's own, in a ring of references: then Python warns of an open file.
        weakref.finalize(self._shared, self._file.close)
        self._bounds = array("q", [0])
        self._names: dict[str, int] = {}
        self._picked: np.ndarray | None = None
        self._flushed = 0
        for record in records:
            self.append(record)

    def append(self, record: Record) -> None:
        """Add a record at the end; a view made by `take` takes none."""
        assert self._picked is None
        name = self._names.setdefault(record.file, len(self._names))
        line = json.dumps([name, record.line, record.values], ensure_ascii=False).encode(
            "utf-8", "surrogatepass"
        )
        self._file.write(line)
        self._bounds.append(self._bounds[-1] + len(line))

    def take(self, indices: Sequence[int] | np.ndarray) -> Rows:
        """Some of the rows, in the order asked for."""
        import numpy as np

        view = object.__new__(Rows)
        view.__dict__ = {**self.__dict__}
        wanted = np.asarray(indices, dtype=np.int64)
        view._picked = wanted if self._picked is None else self._picked[wanted]
        return view

    def __len__(self) -> int:
        return len(self._bounds) - 1 if self._picked is None else len(self._picked)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> Record | Rows:
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        name, line, values = json.loads(self._raw(index % len(self)))
        return Record(list(self._names)[name], line, values)

    def __iter__(self) -> Iterator[Record]:
        names = list(self._names)
        for index in range(len(self)):
            name, line, values = json.loads(self._raw(index))
            yield Record(names[name], line, values)

    def _raw(self, index: int) -> bytes:
        place = index if self._picked is None else int(self._picked[index])
        start, end = self._bounds[place], self._bounds[place + 1]
        if end > self._flushed:
            self._file.flush()
            self._flushed = self._bounds[-1]
        return os.pread(self._file.fileno(), end - start, start)

    def sha256(self) -> str:
        """A print of the rows' values, in order, wherever they were read from."""
        found = hashlib.sha256()
        for index in range(len(self)):
            raw = self._raw(index)
            found.update(raw[raw.index(b"{") :] if b"{" in raw else raw)
        return found.hexdigest()


def as_rows(records: Iterable[Record] | Rows) -> Rows:
    """The same records on disk."""
    return records if isinstance(records, Rows) else Rows(records)
