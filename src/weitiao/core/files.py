"""Files that are there whole or not at all, and what a disk may say.

write_json(path, value);  with whole_file(path) as file: ...      aside, synced, renamed
with disk(path): ...                                              "no space" becomes an error with a code
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from weitiao.core.errors import WeitiaoError, fault, language
from weitiao.core.why import because

PACKING = 1
"""Of gzip, whose higher levels take two to five times as long for a sixth less (film reviews: 46 % at 1, 39 % at 6)."""


@contextmanager
def disk(path: Path, *, needed_bytes: int = 0) -> Iterator[None]:
    """Turn "no space" and "no permission" into coded errors that name `path`; too little space is said beforehand.

    Raises:
        WeitiaoError: `disk_full`, `no_permission`, `not_a_folder` or `impossible_path`; any other error passes through.
    """

    def full() -> WeitiaoError:
        return fault("disk_full", path=path, needed_mb=needed_bytes / 1e6, free_mb=free_bytes(path) / 1e6)

    try:
        if needed_bytes > free_bytes(path):
            raise full()
        yield
    except WeitiaoError:
        raise
    except Exception as error:  # safetensors raises its own; what says nothing of a disk is raised again
        number = _errno(error)
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise full() from error
        # A folder that nobody may make things in says so in another way below /proc and /sys.
        unmade = number == errno.ENOENT and _belongs(Path(getattr(error, "filename", "") or "?"), path)
        if unmade or number in (errno.EACCES, errno.EPERM, errno.EROFS):
            place = getattr(error, "filename", None) or path
            raise fault(
                "no_permission", action="write" if language() == "en" else "写入", path=place
            ) from error
        if number == errno.EISDIR:
            raise fault("wrong_usage", **because("folder_for_file", path=path)) from error
        if number in (errno.ENAMETOOLONG, errno.ELOOP) or "null byte" in str(error):
            raise fault("impossible_path", path=str(path).replace("\0", "\\0"), why=error) from error
        if number in (errno.ENOTDIR, errno.EEXIST):
            raise fault("not_a_folder", path=path) from error
        raise


def cache_dir() -> Path:
    """Where fetched and converted things are kept: `WEITIAO_CACHE`, else the user's cache folder."""
    if own := os.environ.get("WEITIAO_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "weitiao"


def _belongs(file: Path, path: Path) -> bool:
    """Is that the path itself, what is written beside it, or a folder above?"""
    return file.parent == path.parent or file in path.parents


def refuse_unwritable(path: Path) -> None:
    """Can a file or folder of that name be made, with the folders above it?  It is tried, and nothing stays.

    For what is written at the end of something long.

    Raises:
        WeitiaoError: `not_a_folder`, `no_permission`, `impossible_path`, `disk_full`.
    """
    with disk(path):
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()
        folders = (path, *path.absolute().parents) if path.is_dir() else path.absolute().parents
        near = next(each for each in folders if each.exists())
        if not near.is_dir():
            raise fault("not_a_folder", path=path)
        try:
            os.rmdir(tempfile.mkdtemp(prefix=".weitiao-", dir=near))
        except OSError as error:
            error.filename = str(near)  # not the folder's that was to be tried
            raise


HALF = re.compile("[\ud800-\udfff]")


def free_bytes(path: Path) -> int:
    """Free space on the disk of `path`, which need not exist yet; without bound where nothing lies on a disk (/proc)."""
    near = next((folder for folder in (path, *path.parents) if folder.exists()), Path("."))
    usage = shutil.disk_usage(near)
    return usage.free if usage.total else sys.maxsize


def _errno(error: Exception) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    # safetensors writes in Rust, whose error is no OSError: "I/O error: No space left on device (os error 28)".
    number = re.search(r"\(os error (\d+)\)", str(error))
    return int(number[1]) if number else None


@contextmanager
def whole_file(path: Path, *, needed_bytes: int = 0, newline: str | None = None) -> Iterator[IO[str]]:
    """A text file that is there whole or not at all: temporary file, fsync, rename; packed where its name ends in `.gz`."""
    with disk(path, needed_bytes=needed_bytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with _opened(temporary, "w", packed=path.suffix == ".gz", newline=newline) as file:
                yield file
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _opened(path: Path, mode: str, *, packed: bool, newline: str | None = None) -> IO[str]:
    if not packed:
        return path.open(mode, encoding="utf-8", newline=newline)
    # Without a time in it, the same text is the same file.
    return io.TextIOWrapper(
        gzip.GzipFile(path, f"{mode}b", PACKING, mtime=0), encoding="utf-8", newline=newline
    )


def share(folder: Path) -> None:
    """Give the files of a folder that has just been made the rights that the umask gives: safetensors writes for its
    owner alone."""
    rights = (
        folder.stat().st_mode & 0o666
    )  # `mkdir` has asked the umask, which to ask here would be to change it
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(rights)


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    with whole_file(path, needed_bytes=len(text)) as file:
        file.write(text)


def write_json(path: Path, value: Any) -> None:
    """`write_text` of indented JSON; text stays readable in every script."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """One JSON value a line, as they come; like `write_text`, whole or not at all.

    Half a character (a lone surrogate) cannot be UTF-8: a value that holds one is written in escapes, for its reader to find.
    """
    with whole_file(path) as file:
        for value in values:
            line = json.dumps(value, ensure_ascii=False)
            file.write((line if HALF.search(line) is None else json.dumps(value)) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON values of a `.jsonl` file; a last line that a crash cut short is left out."""
    if not path.exists():
        return []
    values = []
    for line in path.read_bytes().split(b"\n"):
        try:
            values.append(json.loads(line))
        except ValueError:  # no JSON, or half a character
            break
    return values


def stream_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON values of a sound `.jsonl` or `.jsonl.gz` file, one after the other."""
    with _opened(path, "r", packed=path.suffix == ".gz") as file:
        yield from map(json.loads, file)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
