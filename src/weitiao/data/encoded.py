"""Encoded rows on disk: flat arrays, one file each, mapped into memory when they are read.

    Writer(folder).add(example, row) ... .seal(notes)  ->  Encoded(folder), a sequence of examples

A folder counts when its `meta.json` says the hash of every file, and they agree: a cache that lies is worse than none.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from weitiao.core.contracts import Example

if TYPE_CHECKING:
    import numpy as np

META = "meta.json"
BLOCK = 1 << 22  # token ids looked at in one go
FLUSHED = 1 << 17  # numbers of an array that wait in memory
COUNTS = ("trained", "tokens_lost", "trained_lost", "row")
CODES = {"i": "int32", "q": "int64", "d": "float64"}


class Encoded(Sequence[Example]):
    """Examples on disk."""

    def __init__(self, folder: Path, *, temporary: bool = False):
        self._temporary = temporary
        self.folder = folder
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        self.notes: list[tuple[int, str, str]] = meta["notes"]
        """(row, status, reason) of the rows that were not encoded as they were."""
        self._inputs: list[str] = meta["inputs"]
        self._width: int | None = meta["width"]
        self._arrays = {name: self._map(name, code) for name, code in meta["arrays"].items()}
        self._bounds = self._arrays["bounds"]
        self.rows: np.ndarray = self._arrays["row"]
        """Which row every example was made of."""
        self.whole: np.ndarray = self._arrays["whole"]
        """Tokens of every row that could be encoded, before anything was cut, divided or dropped."""

    def _map(self, name: str, code: str) -> Any:
        import numpy as np

        file = self.folder / f"{name}.bin"
        return np.memmap(file, CODES[code], mode="r") if file.stat().st_size else np.empty(0, CODES[code])

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of every example."""
        import numpy as np

        return np.diff(self._bounds)

    def counts(self, name: str) -> np.ndarray:
        """`trained`, `tokens_lost` or `trained_lost` of every example."""
        return self._arrays[name]

    def beyond(self, size: int) -> tuple[int, int] | None:
        """The first row with a token id of `size` or more, and that id; None when there is none."""
        import numpy as np

        ids = self._arrays.get("input_ids", ())
        for start in range(0, len(ids), BLOCK):
            if len(places := np.flatnonzero(ids[start : start + BLOCK] >= size)):
                place = start + int(places[0])
                return int(self.rows[np.searchsorted(self._bounds, place, side="right") - 1]), int(ids[place])
        return None

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        start, end = self._bounds[index], self._bounds[index + 1]
        arrays = self._arrays
        target: Any = None
        if self._width is not None:
            flat = arrays["target"]
            target = (
                flat[index].item()
                if self._width == 1
                else flat[index * self._width : (index + 1) * self._width].tolist()
            )
        inputs = {name: arrays[name][start:end] for name in self._inputs}
        trained, lost, trained_lost = (int(arrays[name][index]) for name in COUNTS[:-1])
        return Example(inputs, target, trained, lost, trained_lost)

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def __del__(self) -> None:
        if getattr(self, "_temporary", False):
            self._arrays = {}
            shutil.rmtree(self.folder, ignore_errors=True)


class Writer:
    """Appends examples to one file an array."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._waiting: dict[str, array[Any]] = {name: array("i") for name in COUNTS}
        self._waiting |= {"row": array("q"), "bounds": array("q", [0]), "whole": array("q")}
        self._inputs: list[str] | None = None
        self._width: int | None = None
        self._length = 0

    def add(self, example: Example, row: int) -> None:
        """One example more, made of that row."""
        waiting = self._waiting
        if self._inputs is None:
            self._inputs = list(example.inputs)
            waiting |= {name: array("i") for name in self._inputs}
            if example.target is not None:
                target = _listed(example.target)
                waiting["target"] = array("d" if any(isinstance(value, float) for value in target) else "q")
                self._width = len(target)
        for name in self._inputs:
            waiting[name].extend(example.inputs[name])
        if self._width is not None:
            waiting["target"].extend(_listed(example.target))
        self._length += len(example)
        waiting["bounds"].append(self._length)
        waiting["trained"].append(example.trained)
        waiting["tokens_lost"].append(example.tokens_lost)
        waiting["trained_lost"].append(example.trained_lost)
        waiting["row"].append(row)
        if len(waiting[self._inputs[0]]) > FLUSHED:
            self._flush()

    def met(self, length: int) -> None:
        """A row of so many tokens, whatever becomes of it."""
        self._waiting["whole"].append(length)

    def _flush(self) -> None:
        for name, values in self._waiting.items():
            with (self.folder / f"{name}.bin").open("ab") as file:
                values.tofile(file)
            del values[:]

    def seal(self, notes: Sequence[tuple[int, str, str]]) -> None:
        """Write down what is there; a folder without this is none."""
        self._flush()
        prints = {file.name: _sha256(file) for file in sorted(self.folder.glob("*.bin"))}
        meta: dict[str, Any] = {
            "inputs": self._inputs or [],
            "width": self._width,
            "arrays": {name: values.typecode for name, values in self._waiting.items()},
            "notes": notes,
            "sha256": prints,
        }
        meta["self"] = _meta_print(meta)
        (self.folder / META).write_text(json.dumps(meta, ensure_ascii=False), encoding="utf-8")


def _meta_print(meta: Mapping[str, Any]) -> str:
    others = {name: value for name, value in meta.items() if name != "self"}
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()


def _listed(target: Any) -> list[Any]:
    return list(target) if isinstance(target, list | tuple) else [target]


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def sound(folder: Path) -> bool:
    """Is everything there as it was written?  A cache that lies is worse than none."""
    try:
        meta: Mapping[str, Any] = json.loads((folder / META).read_text(encoding="utf-8"))
        if meta["self"] != _meta_print(meta):
            return False
        return all(_sha256(folder / name) == print for name, print in meta["sha256"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
