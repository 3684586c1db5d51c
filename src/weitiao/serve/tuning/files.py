"""Uploaded files, kept until they are deleted.

files = Files(folder);  file = files.add("rows.jsonl", raw, way="supervised");  files.content(file.id)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from weitiao.core.files import disk, write_json
from weitiao.serve.tuning.held import by_id, fresh, on_disk

TRAINS, RESULTS = "fine-tune", "fine-tune-results"


@dataclass(frozen=True)
class File:
    """What is known of a file."""

    id: str
    filename: str
    bytes: int
    created_at: int
    purpose: str
    way: str = ""
    """What its rows are for: supervised, dpo."""

    def told(self) -> dict[str, Any]:
        """As OpenAI says it."""
        known = {name: value for name, value in asdict(self).items() if name != "way"}
        return {**known, "object": "file", "status": "processed", "status_details": None, "expires_at": None}


@dataclass
class Files:
    """All files of a folder, in the order in which they came."""

    folder: Path
    now: Callable[[], float] = time.time
    _held: dict[str, File] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._held = on_disk(self.folder.glob("file-*.json"), File)

    def all(self) -> list[File]:
        """Those that are there."""
        return list(self._held.values())

    def add(self, name: str, raw: bytes, *, way: str = "", purpose: str = TRAINS) -> File:
        """Keep a file; it is on disk when this returns.

        Raises:
            WeitiaoError: `disk_full`, `no_permission`.
        """
        file = File(fresh("file"), name, len(raw), int(self.now()), purpose, way)
        with self._lock, disk(self.folder, needed_bytes=len(raw)):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._path(file).write_bytes(raw)
            # What has no card is not there: a file that was half written when the process died.
            write_json(self._path(file).with_suffix(".json"), asdict(file))
            self._held[file.id] = file
        return file

    def get(self, name: str) -> File:
        """The file of that id.

        Raises:
            WeitiaoError: `unknown_name`.
        """
        return by_id(self._held, name, shelf="file")

    def content(self, name: str) -> bytes:
        """What stands in it."""
        return self._path(self.get(name)).read_bytes()

    def delete(self, name: str) -> None:
        """Not there any more."""
        file = self.get(name)
        with self._lock:
            self._path(file).with_suffix(".json").unlink(missing_ok=True)
            self._path(file).unlink(missing_ok=True)
            self._held.pop(name, None)

    def _path(self, file: File) -> Path:
        return self.folder / f"{file.id}.jsonl"
