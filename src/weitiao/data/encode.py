"""Rows in, examples on disk out, and the ledger knows what was cut.

    Encoder(task, processor, ...)(rows, ledger, side="train")  ->  Encoded, a sequence of examples

Encoded rows lie in flat files that are mapped into memory, so their number does not matter to it.  They are kept in
a cache under a print of everything that decides them: the rows, the processor with its chat template, the task, the
settings, and the code itself.  Any change misses; without a change nothing is encoded twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Task
from weitiao.core.errors import fault, language
from weitiao.core.files import disk
from weitiao.core.recipe import Data
from weitiao.core.why import reason
from weitiao.data.code import code_print
from weitiao.data.encoded import Encoded, Writer, sound
from weitiao.data.ledger import Ledger
from weitiao.data.overlong import as_read
from weitiao.data.rows import Rows

FORGOTTEN_S = 30 * 24 * 3600  # an entry of the cache that nobody read for so long is deleted


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

        Only training rows are split (`data.overlong`).  The last `made` rows came from
        augmentation: they are no input, and what becomes of them is only counted.

        Raises:
            WeitiaoError: `overlong_rows` when some are too long and `data.overlong` is `fail`; what the task raises.
        """
        place = self.cache / self.key(rows, side) if self.cache else None
        if place and sound(place):
            with suppress(OSError):  # a cache that may only be read is one all the same
                os.utime(place)
            found = Encoded(place)
        else:
            found = self._encode(rows, side, place)
        for row, status, why in found.notes:
            if row >= len(rows) - made:
                ledger.made["encoded"] = Counter(ledger.made.get("encoded", {})) + Counter([status])
                continue
            record = rows[row]
            raw = dict(record.values) if status == "quarantined" else None
            ledger.note(record, status, why, raw=raw)
        return found

    def _encode(self, rows: Rows, side: str, place: Path | None) -> Encoded:
        home = place.parent if place and _writable(place.parent) else Path(tempfile.gettempdir())
        place = place if place and place.parent == home else None
        with disk(home):
            folder = _new_folder(home, shared=place is not None)
            try:
                self._write(rows, folder, side)
            except BaseException:  # Ctrl-C too: what is half written is no cache
                shutil.rmtree(folder, ignore_errors=True)
                raise
            return Encoded(_kept(folder, place)) if place else Encoded(folder, temporary=True)

    def _write(self, rows: Rows, folder: Path, side: str) -> None:
        overlong: list[tuple[str, int, int]] = []
        notes: list[tuple[int, str, str]] = []
        policy = "truncate" if self.data.overlong == "split" and side != "train" else self.data.overlong
        bad = "quarantined" if self.data.bad_rows == "quarantine" else "dropped"
        writer = Writer(folder, lambda row: rows[row].place)
        words: dict[str, Any] = {"limit": self.limit, "trains": side == "train"}
        read = as_read(self.task, rows, self.processor, self.data, **words)
        # Strictly: a task that gave fewer examples than rows would lose rows without a word.
        for row, (length, example) in zip(range(len(rows)), read, strict=True):
            lost, limit = example.tokens_lost, self.limit
            if not example.refused:
                writer.met(length)
            if length <= limit and example.trained_lost:  # what is written has a limit of its own
                length, limit = example.trained + example.trained_lost, example.trained
            # Of texts that are read apart each may be as long as the limit.
            over = bool(lost) if self.task.apart else length > limit
            if example.repaired:
                notes.append((row, "repaired", example.repaired))
            if example.refused:
                notes.append((row, bad, example.refused))
            elif over and policy == "fail":
                overlong.append((rows[row].place, length, limit))
            elif over and policy == "split":
                parts = self.task.windows(rows[row], example, self.processor, limit=self.limit)
                for part in parts:
                    writer.add(part, row)
                why = reason("gone_on" if parts else "no_room_to_split", length=length, rows=len(parts))
                notes.append((row, "repaired" if parts else "dropped", why))
            elif over and (policy == "drop" or not example.trained):
                kind = "beyond_limit" if example.trained else "nothing_left_to_train"
                notes.append((row, "dropped", reason(kind, length=length, limit=limit)))
            elif not example.trained:
                notes.append((row, bad, reason("nothing_to_train")))
            else:
                if lost or example.trained_lost:
                    why = reason("windows_cut", lost=lost, windows=self.data.max_windows)
                    if example.size is not None and example.trained_lost:
                        why = reason("sides_cut", read=lost, written=example.trained_lost)
                    elif policy != "windows":
                        why = reason("tokens_cut", lost=lost, trained=example.trained_lost)
                    notes.append((row, "truncated", why))
                writer.add(example, row)
        if overlong:
            place, length, limit = overlong[0]
            raise fault("overlong_rows", count=len(overlong), limit=limit, place=place, length=length)
        writer.seal(notes)

    def key(self, rows: Rows, side: str) -> str:
        """A hash of everything that decides what the rows are encoded to."""
        facts = [rows.sha256(), self._processor_print, self._code_print, self.limit, side]
        facts += [language()]  # the notes are kept as they were said
        task: Any = self.task  # every task is a dataclass, its contract is none
        settings = {k: v for k, v in asdict(task).items() if k not in task.training_only}
        facts += [
            type(self.task).__qualname__,
            settings,
            self.data.overlong,
            self.data.max_windows,
            self.data.bad_rows,
        ]
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
                    # Before the added tokens stand the version, and the truncation and padding that the last call
                    # asked for, which are no part of the tokenizer.
                    head, mark, rest = content.partition(b'"added_tokens"')
                    content = mark + rest or head
                found.update(file.name.encode() + b"\0" + content)
        return found.hexdigest()

    @cached_property
    def _code_print(self) -> str:
        versions = f"{version('tokenizers')} {version('transformers')} "
        return versions + code_print(type(self.task))


def _writable(home: Path) -> bool:
    """Can the cache be used?  One that cannot be written to costs time, and no run."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(home, os.W_OK | os.X_OK)


def _new_folder(home: Path, *, shared: bool) -> Path:
    """To be written into.  A cache may be shared, as far as the umask lets it; what lies among everybody's temporary
    files is for its owner alone."""
    if not shared:
        return Path(tempfile.mkdtemp(prefix=".encoding-", dir=home))
    folder = home / f".encoding-{secrets.token_hex(8)}"
    folder.mkdir()
    return folder


def _kept(folder: Path, place: Path) -> Path:
    """Move a written folder to its place in the cache; whatever broken thing lay there goes."""
    if place.exists() and not sound(place):
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


def token_table(encoded: Sequence[Encoded], *, limit: int, apart: bool = False) -> dict[str, Any]:
    """Lengths in tokens, for the ledger: of rows as they came, and beside them what was cut off.

    Args:
        encoded: the rows of each side.
        limit: tokens that are read at once.
        apart: is that the limit of each text of a row, which are read apart (`Task.apart`)?
    """
    import numpy as np

    lengths = np.concatenate([examples.whole for examples in encoded])
    lost, trained = (
        np.concatenate([examples.counts(name) for examples in encoded])
        for name in ("tokens_lost", "trained_lost")
    )
    written = [examples.written for examples in encoded if examples.written is not None]
    sides = written_table(written, trained) if written else {}
    if written:
        lost = lost + trained
    found = [examples.passes for examples in encoded if examples.passes is not None]
    passes = np.concatenate(found) if found else np.ones(0, dtype=int)
    return {
        "limit": limit,
        "limit_of": "text" if apart else "row",
        "median": int(np.median(lengths)),
        "p95": int(np.percentile(lengths, 95)),
        "max": int(lengths.max()),
        "truncated_rows": int((lost > 0).sum()),
        "truncated_tokens": int(lost.sum()),
        "truncated_trained_tokens": int(trained.sum()),
        "windowed_rows": int((passes > 1).sum()),
        "windows": int(passes[passes > 1].sum()),
        **sides,
    }


def written_table(written: Sequence[Any], lost: Any) -> dict[str, Any]:
    """Lengths in tokens of what is written, where that is a side of its own."""
    import numpy as np

    lengths = np.concatenate(written)
    return {
        "written": {
            "median": int(np.median(lengths)),
            "p95": int(np.percentile(lengths, 95)),
            "max": int(lengths.max()),
            "truncated_rows": int((lost > 0).sum()),
            "truncated_tokens": int(lost.sum()),
        }
    }
