"""Encoded rows on disk: flat arrays, one file each, mapped into memory when they are read.

    Writer(folder).add(example, row) ... .seal(notes)  ->  Encoded(folder), a sequence of examples

A folder counts when its `meta.json` says the hash of every file, and they agree: a cache that lies is worse than none.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from weitiao.core.contracts import Example
from weitiao.core.errors import fault
from weitiao.data.column import BLOCK, Column, Unlike, flat, mapped
from weitiao.data.unknown import Met

if TYPE_CHECKING:
    import numpy as np

META = "meta.json"
FORMAT = 2
"""Of the files; another one is encoded anew."""
FLUSHED = 1 << 17  # examples whose counts wait in memory
OF_WORDS = ("input_ids", "labels")
"""Inputs that number words."""
COUNTS = ("trained", "tokens_lost", "trained_lost")
CODES = {"b": "int8", "i": "int32", "q": "int64"}
NOTHING, NUMBER, TYPED, LISTED, ARRAY = range(5)
"""What a target is read back as: None, a number of Python's, one of NumPy's, a list, an array."""


class Encoded(Sequence[Example]):
    """Examples on disk."""

    def __init__(self, folder: Path, *, temporary: bool = False):
        self._temporary = temporary
        self.folder = folder
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        self.notes: list[tuple[int, str, str]] = meta["notes"]
        """(row, status, reason) of the rows that were not encoded as they were."""
        self._counts = {
            name: flat(folder / f"{name}.bin", CODES[code]) for name, code in meta["counts"].items()
        }
        self._inputs = {
            name: mapped(folder, f"inputs.{place}", facts)
            for place, (name, facts) in enumerate(meta["inputs"])
        }
        self._target = mapped(folder, "target", meta["target"]) if meta["target"] else None
        self._sized = "input_ids" in self._inputs
        self.rows: np.ndarray = self._counts["row"]
        """Which row every example was made of."""
        self.whole: np.ndarray = self._counts["whole"]
        """Tokens of every row that could be encoded, before anything was cut, divided or dropped."""
        self.lengths: np.ndarray = self._counts["size"]
        """Tokens of every example, or the size that it says."""
        self.written: np.ndarray | None = None
        """Tokens of what is written of every row, before any were cut; None where that is no side of its own."""
        sided = all(name in self._inputs for name in OF_WORDS)
        if sided and self.lengths.sum() != len(self._inputs[OF_WORDS[0]][0]):
            self.written = self._counts["trained"] + self._counts["trained_lost"]
        self.passes: np.ndarray | None = None
        """In how many passes every example is read, one for each of its texts that are read apart not counted again; None
        where each is in one."""
        if "windows" in self._inputs:
            counts = {name: own[1][1:] - own[1][:-1] for name, own in self._inputs.items()}
            self.passes = counts["windows"] - (counts["texts"] - 1 if "texts" in counts else 0)

    def __len__(self) -> int:
        return len(self.rows)

    def counts(self, name: str) -> np.ndarray:
        """`trained`, `tokens_lost` or `trained_lost` of every example."""
        return self._counts[name]

    def beyond(self, size: int) -> tuple[int, int] | None:
        """The first row with a token id of `size` or more, read or written, and that id; None when there is none."""
        import numpy as np

        if not self._sized:
            return None
        for ids, bounds in (self._inputs[name] for name in OF_WORDS if name in self._inputs):
            for start in range(0, len(ids), BLOCK):
                over = ids[start : start + BLOCK] >= size
                if len(places := np.flatnonzero(over.any(axis=tuple(range(1, ids.ndim))))):
                    place = start + int(places[0])
                    row = np.searchsorted(bounds, place, side="right") - 1
                    return int(self.rows[row]), int(ids[place].max())
        return None

    def unknown(self, processor: Any) -> float:
        """The share of tokens, special ones left out, that stand for what the tokenizer does not know."""
        met = Met.of(processor)
        # Elsewhere what is learnt is among what is read.
        for name in (OF_WORDS if self.written is not None else OF_WORDS[:1]) if self._sized else ():
            ids, _ = self._inputs[name]
            for start in range(0, len(ids), BLOCK):
                met.see(ids[start : start + BLOCK])
        return met.share

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
        inputs = {
            name: values[bounds[index] : bounds[index + 1]] for name, (values, bounds) in self._inputs.items()
        }
        trained, lost, trained_lost = (int(self._counts[name][index]) for name in COUNTS)
        target = None if self._target is None else self._target_of(index, *self._target)
        size: int | None = int(self.lengths[index])
        if self._sized and size == len(inputs["input_ids"]):
            size = None
        return Example(inputs, target, trained, lost, trained_lost, size=size)

    def _target_of(self, index: int, values: np.ndarray, bounds: np.ndarray) -> Any:
        kind, start = self._counts["target"][index], bounds[index]
        if kind == NOTHING:
            return None
        if kind in (NUMBER, TYPED):
            return values[start].item() if kind == NUMBER else values[start]
        found = values[start : bounds[index + 1]]
        return found.tolist() if kind == LISTED else found

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def __del__(self) -> None:
        if getattr(self, "_temporary", False):
            self._inputs, self._counts, self._target = {}, {}, None
            shutil.rmtree(self.folder, ignore_errors=True)


class Writer:
    """Appends examples to flat files."""

    def __init__(self, folder: Path, place: Callable[[int], str] = "row {}".format):
        """Write into `folder`; `place` says where a row stands, for errors."""
        self.folder = folder
        self._place = place
        self._counts: dict[str, array[Any]] = {name: array("i") for name in COUNTS}
        self._counts |= {"row": array("q"), "size": array("q"), "whole": array("q"), "target": array("b")}
        self._inputs: dict[str, Column] | None = None
        self._target: Column | None = None
        self._written = 0

    def add(self, example: Example, row: int) -> None:
        """One example more, made of that row.

        Raises:
            WeitiaoError: `uneven_examples` when it holds other names than those before it, or one of them in a type or
                with inner axes that they do not have.
        """
        try:
            kind = self._add(example)
        except Unlike as error:
            place, name = self._place(row), error.name
            raise fault(
                "uneven_examples", place=place, name=name, now=error.now, wanted=error.wanted
            ) from error
        counts = self._counts
        counts["target"].append(kind)
        counts["size"].append(len(example) if example.size is None else example.size)
        counts["trained"].append(example.trained)
        counts["tokens_lost"].append(example.tokens_lost)
        counts["trained_lost"].append(example.trained_lost)
        counts["row"].append(row)
        self._written += 1
        if not self._written % FLUSHED:
            self._flush()

    def _add(self, example: Example) -> int:
        inputs = example.inputs
        if self._inputs is None:
            self._inputs = {
                name: Column(self.folder, f"inputs.{nth}", name=name) for nth, name in enumerate(inputs)
            }
        columns = self._inputs
        if inputs.keys() != columns.keys():
            now, wanted = (", ".join(names) or "-" for names in (inputs, columns))
            raise Unlike("inputs", now, wanted)
        for name, column in columns.items():
            column.add(inputs[name])
        return self._add_target(example.target)

    def _add_target(self, target: Any) -> int:
        if self._target is None:
            if target is None:
                return NOTHING
            self._target = Column(self.folder, "target", name="target", before=self._written)
        kind, values = _listed(target)
        self._target.add(values)
        return kind

    def met(self, length: int) -> None:
        """A row of so many tokens, whatever becomes of it."""
        self._counts["whole"].append(length)

    def _flush(self) -> None:
        for name, values in self._counts.items():
            with (self.folder / f"{name}.bin").open("ab") as file:
                values.tofile(file)
            del values[:]

    def seal(self, notes: Sequence[tuple[int, str, str]]) -> None:
        """Write down what is there; a folder without this is none."""
        self._flush()
        meta: dict[str, Any] = {
            "format": FORMAT,
            "inputs": [(name, column.seal()) for name, column in (self._inputs or {}).items()],
            "target": self._target.seal() if self._target else None,
            "counts": {name: values.typecode for name, values in self._counts.items()},
            "notes": notes,
        }
        meta["sha256"] = {file.name: _sha256(file) for file in sorted(self.folder.glob("*.bin"))}
        meta["self"] = _meta_print(meta)
        (self.folder / META).write_text(json.dumps(meta, ensure_ascii=False), encoding="utf-8")


def _listed(target: Any) -> tuple[int, Any]:
    """What a target is, and what is kept of it."""
    if type(target) in (int, float, bool):
        return NUMBER, [target]
    if target is None or isinstance(target, list | tuple):
        return (NOTHING, []) if target is None else (LISTED, target)
    import numpy as np

    found = np.asarray(target)
    return (ARRAY, found) if found.ndim else (TYPED, found.reshape(1))


def _meta_print(meta: Mapping[str, Any]) -> str:
    others = {name: value for name, value in meta.items() if name != "self"}
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def sound(folder: Path) -> bool:
    """Is everything there as it was written, in today's format?  A cache that lies is worse than none."""
    try:
        meta: Mapping[str, Any] = json.loads((folder / META).read_text(encoding="utf-8"))
        if meta["format"] != FORMAT or meta["self"] != _meta_print(meta):
            return False
        return all(_sha256(folder / name) == print for name, print in meta["sha256"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
