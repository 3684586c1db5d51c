"""Rows in, examples on disk out, and the ledger knows what was cut.

    Encoder(task, processor, ...)(rows, ledger, side="train")  ->  Encoded, a sequence of examples

Encoded rows lie in flat files that are mapped into memory, so their number does not matter to it.  They are kept in
a cache under a print of everything that decides them: the rows, the processor with its chat template, the task, the
settings, and the code itself.  Any change misses; without a change nothing is encoded twice.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from weitiao.core.contracts import Example, Task
from weitiao.core.errors import fault
from weitiao.core.recipe import Data
from weitiao.core.run import disk
from weitiao.data.ledger import Ledger
from weitiao.data.rows import Rows

if TYPE_CHECKING:
    import numpy as np

META = "meta.json"
FORGOTTEN_S = 30 * 24 * 3600  # an entry of the cache that nobody read for so long is deleted
BLOCK = 1 << 22  # token ids looked at in one go
COUNTS = ("trained", "tokens_lost", "trained_lost", "row")
CODES = {"i": "int32", "q": "int64", "d": "float64"}


@dataclass(frozen=True)
class Encoder:
    """How rows become examples of at most `limit` tokens."""

    task: Task
    processor: Any
    data: Data
    limit: int
    cache: Path | None = None
    """The folder of the cache; None encodes anew every time."""

    def __call__(self, rows: Rows, ledger: Ledger, *, side: str, made: int = 0) -> Encoded:
        """Encode rows and deal with those longer than `limit` as `data.overlong` says.

        Only training rows are split: a row that judges stays one row, and is cut.  The last `made` rows came from
        augmentation: they are no input, and what becomes of them is only counted.

        Raises:
            WeitiaoError: `overlong_rows` when some are too long and `data.overlong` is `fail`; what the task raises.
        """
        place = self.cache / self.key(rows, side) if self.cache else None
        if place and _sound(place):
            with suppress(OSError):  # a cache that may only be read is one all the same
                os.utime(place)
            found = Encoded(place)
        else:
            found = self._encode(rows, side, place)
        for row, status, reason in found.notes:
            if row >= len(rows) - made:
                ledger.made["encoded"] = Counter(ledger.made.get("encoded", {})) + Counter([status])
                continue
            record = rows[row]
            raw = dict(record.values) if status == "quarantined" else None
            ledger.note(record, status, reason, raw=raw)
        return found

    def _encode(self, rows: Rows, side: str, place: Path | None) -> Encoded:
        home = place.parent if place and _writable(place.parent) else Path(tempfile.gettempdir())
        place = place if place and place.parent == home else None
        with disk(home):
            folder = Path(tempfile.mkdtemp(prefix=".encoding-", dir=home))
            try:
                self._write(rows, folder, side)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            return Encoded(_kept(folder, place)) if place else Encoded(folder, temporary=True)

    def _write(self, rows: Rows, folder: Path, side: str) -> None:
        overlong: list[tuple[str, int]] = []
        notes: list[tuple[int, str, str]] = []
        policy = "truncate" if self.data.overlong == "split" and side != "train" else self.data.overlong
        bad = "quarantined" if self.data.bad_rows == "quarantine" else "dropped"
        with _Writer(folder) as writer:
            examples = self.task.encode(rows, self.processor, limit=self.limit)
            # Strictly: a task that gave fewer examples than rows would lose rows without a word.
            for row, example in zip(range(len(rows)), examples, strict=True):
                lost = example.tokens_lost
                length = len(example) + lost
                if example.refused:
                    notes.append((row, bad, example.refused))
                elif lost and policy == "fail":
                    overlong.append((rows[row].place, length))
                elif lost and policy == "split":
                    parts = self.task.windows(rows[row], self.processor, limit=self.limit)
                    for part in parts:
                        writer.add(part, row)
                    why = (
                        f"{length} tokens, gone on in {len(parts)} rows"
                        if parts
                        else f"{length} tokens, no room to split"
                    )
                    notes.append((row, "repaired" if parts else "dropped", why))
                elif lost and (policy == "drop" or not example.trained):
                    why = f"{length} tokens, {self.limit} fit"
                    why += "" if example.trained else ", and nothing to train on would be left"
                    notes.append((row, "dropped", why))
                elif not example.trained:
                    notes.append((row, bad, "there is nothing to train on"))
                else:
                    if lost:
                        why = f"{lost} tokens lost, {example.trained_lost} of them trained on"
                        notes.append((row, "truncated", why))
                    writer.add(example, row)
            if overlong:
                place, length = overlong[0]
                raise fault(
                    "overlong_rows", count=len(overlong), limit=self.limit, place=place, length=length
                )
            writer.seal(notes)

    def key(self, rows: Rows, side: str) -> str:
        """A hash of everything that decides what the rows are encoded to."""
        facts = [rows.sha256(), self._processor_print, self._code_print, self.limit, side]
        facts += [type(self.task).__qualname__, asdict(self.task), self.data.overlong, self.data.bad_rows]  # type: ignore[call-overload]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:40]

    @cached_property
    def _processor_print(self) -> str:
        # Everything that Transformers would save of it: vocabulary, merges, template, special tokens.
        found = hashlib.sha256()
        with tempfile.TemporaryDirectory() as folder:
            self.processor.save_pretrained(folder)
            for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
                content = file.read_bytes()
                if file.name == "tokenizer.json":
                    tree = json.loads(content)
                    # What the last call asked for, and no part of the tokenizer.
                    tree.update(truncation=None, padding=None)
                    content = json.dumps(tree, sort_keys=True).encode()
                found.update(file.name.encode() + b"\0" + content)
        return found.hexdigest()

    @cached_property
    def _code_print(self) -> str:
        here = Path(__file__).parent
        files = {*here.rglob("*.py"), Path(inspect.getfile(type(self.task)))}
        files |= set(Path(inspect.getfile(type(self.task))).parent.glob("packed.py"))
        found = hashlib.sha256(f"{version('tokenizers')} {version('transformers')}".encode())
        for file in sorted(files):
            found.update(file.name.encode() + b"\0" + file.read_bytes())
        return found.hexdigest()


class Encoded(Sequence[Example]):
    """Examples on disk."""

    def __init__(self, folder: Path, *, temporary: bool = False):
        self._temporary = temporary
        self._folder = folder
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        self.notes: list[tuple[int, str, str]] = meta["notes"]
        """(row, status, reason) of the rows that were not encoded as they were."""
        self._inputs: list[str] = meta["inputs"]
        self._width: int | None = meta["width"]
        self._arrays = {name: self._map(name, code) for name, code in meta["arrays"].items()}
        self._bounds = self._arrays["bounds"]
        self.rows: np.ndarray = self._arrays["row"]
        """Which row every example was made of."""

    def _map(self, name: str, code: str) -> Any:
        import numpy as np

        file = self._folder / f"{name}.bin"
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
            shutil.rmtree(self._folder, ignore_errors=True)


class _Writer:
    """Appends examples to one file an array."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._files: dict[str, Any] = {}
        self._codes: dict[str, str] = {}
        self._inputs: list[str] | None = None
        self._width: int | None = None
        self._length = 0

    def __enter__(self) -> _Writer:
        self._append("bounds", "q", [0])
        for name in COUNTS:
            self._append(name, "q" if name == "row" else "i", [])
        return self

    def __exit__(self, *failure: object) -> None:
        for file in self._files.values():
            file.close()

    def add(self, example: Example, row: int) -> None:
        """One example more, made of that row."""
        if self._inputs is None:
            self._inputs = list(example.inputs)
            self._width = None if example.target is None else len(_listed(example.target))
        for name in self._inputs:
            self._append(name, "i", example.inputs[name])
        if example.target is not None:
            target = _listed(example.target)
            self._append("target", "d" if any(isinstance(value, float) for value in target) else "q", target)
        self._length += len(example)
        self._append("bounds", "q", [self._length])
        for name in COUNTS[:-1]:
            self._append(name, "i", [getattr(example, name)])
        self._append("row", "q", [row])

    def _append(self, name: str, code: str, values: Any) -> None:
        if name not in self._files:
            self._files[name] = (self._folder / f"{name}.bin").open("wb", buffering=1 << 18)
            self._codes[name] = code
        array(self._codes[name], values).tofile(self._files[name])

    def seal(self, notes: Sequence[tuple[int, str, str]]) -> None:
        """Write down what is there; a folder without this is none."""
        for file in self._files.values():
            file.flush()
        prints = {file.name: _sha256(file) for file in sorted(self._folder.glob("*.bin"))}
        meta: dict[str, Any] = {
            "inputs": self._inputs or [],
            "width": self._width,
            "arrays": self._codes,
            "notes": notes,
            "sha256": prints,
        }
        meta["self"] = _meta_print(meta)
        (self._folder / META).write_text(json.dumps(meta, ensure_ascii=False), encoding="utf-8")


def _meta_print(meta: Mapping[str, Any]) -> str:
    others = {name: value for name, value in meta.items() if name != "self"}
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()


def _listed(target: Any) -> list[Any]:
    return list(target) if isinstance(target, list | tuple) else [target]


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _sound(folder: Path) -> bool:
    """Is everything there as it was written?  A cache that lies is worse than none."""
    try:
        meta: Mapping[str, Any] = json.loads((folder / META).read_text(encoding="utf-8"))
        if meta["self"] != _meta_print(meta):
            return False
        return all(_sha256(folder / name) == print for name, print in meta["sha256"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _writable(home: Path) -> bool:
    """Can the cache be used?  One that cannot be written to costs time, and no run."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(home, os.W_OK | os.X_OK)


def _kept(folder: Path, place: Path) -> Path:
    """Move a written folder to its place in the cache; whatever broken thing lay there goes."""
    if place.exists() and not _sound(place):
        shutil.rmtree(place, ignore_errors=True)
    try:
        os.rename(folder, place)
    except OSError:  # another process was quicker, with the same content
        shutil.rmtree(folder, ignore_errors=True)
    for old in place.parent.iterdir():
        try:
            if time.time() - old.stat().st_mtime > FORGOTTEN_S:
                shutil.rmtree(old, ignore_errors=True)
        except OSError:
            continue  # another process has just deleted it
    return place


def token_table(encoded: Sequence[Encoded], *, limit: int) -> dict[str, Any]:
    """Lengths in tokens, for the ledger."""
    import numpy as np

    lengths = np.concatenate([examples.lengths for examples in encoded])
    lost, trained = (
        np.concatenate([examples.counts(name) for examples in encoded])
        for name in ("tokens_lost", "trained_lost")
    )
    return {
        "limit": limit,
        "median": int(np.median(lengths)),
        "p95": int(np.percentile(lengths, 95)),
        "max": int(lengths.max()),
        "truncated_rows": int((lost > 0).sum()),
        "truncated_tokens": int(lost.sum()),
        "truncated_trained_tokens": int(trained.sum()),
    }
