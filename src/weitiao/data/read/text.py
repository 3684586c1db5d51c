"""Bytes in, text out: which encoding a file is in, and its lines as they are needed.

    reviews.csv  ->  open_text(path)  ->  Text(encoding="gb18030", sha256="9f2c...", broken=False)  ->  lines()

Opening reads the file once, a mebibyte at a time, for its hash and its encoding.  A byte that cannot be decoded in a
file that is otherwise clear costs the row it stands in, not the file: it comes as half a character (a lone
surrogate), and whoever makes a row of it asks `Text.spoilt`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.data.read.encodings import HALF, error_handler, find_encoding

CHUNK = 1 << 20
"""Bytes read at a time."""


@dataclass(frozen=True)
class Text:
    """A text file that has been looked at."""

    path: Path
    encoding: str
    sha256: str
    broken: bool
    """Are there bytes that could not be decoded?"""

    def lines(self, *, newline: str = "\n") -> Iterator[str]:
        """Its lines with their ends; `newline=""` also ends one at a carriage return, as tables need it."""
        with (
            opened(self.path) as file,
            io.TextIOWrapper(
                file, self.encoding, errors=error_handler(self.encoding), newline=newline
            ) as text,
        ):
            # A mark may stand there even where the encoding was named without it.
            yield from (line.removeprefix("\ufeff") for line in [text.readline()] if line)
            yield from text

    def blocks(self) -> Iterator[str]:
        """Its characters, some hundred thousand at a time."""
        with (
            opened(self.path) as file,
            io.TextIOWrapper(file, self.encoding, errors=error_handler(self.encoding), newline="") as text,
        ):
            yield text.read(CHUNK).removeprefix("\ufeff")
            while block := text.read(CHUNK):
                yield block

    def spoilt(self, raw: str) -> str:
        """Why a piece of this text cannot be used: bytes in it are not what the rest is; empty when it can."""
        return reason("not_encoded", encoding=self.encoding) if self.broken and HALF.search(raw) else ""


def open_text(path: Path, encoding: str = "auto") -> Text:
    """Look at a text file, or one compressed with gzip.

    Raises:
        WeitiaoError: `file_missing`, `no_permission`, `unknown_encoding`, `bad_encoding` with the line of the first
            bad byte, `zero_bytes`, `bad_file` for a broken gzip file.
    """
    digest = hashlib.sha256()

    def chunks() -> Iterator[bytes]:
        with opened(path) as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def hashed() -> Iterator[bytes]:
        for chunk in chunks():
            digest.update(chunk)
            yield chunk

    passes = iter([hashed])  # the first pass is hashed, others are not
    name, scan = find_encoding(lambda: next(passes, chunks)(), path, encoding)
    sha256 = file_sha256(path) if is_packed(path) else digest.hexdigest()
    return Text(path, name, sha256, broken=scan.broken > 0)


def decode(raw: bytes, path: Path, encoding: str) -> tuple[str, str]:
    """The text of some bytes and the encoding that gave it; `path` is named in errors.

    Raises:
        WeitiaoError: `unknown_encoding`, `zero_bytes`, or `bad_encoding` with the line of the first bad byte.
    """
    name, scan = find_encoding(lambda: [raw], path, encoding)
    if scan.broken:
        raise fault("bad_encoding", path=path, line=scan.broken_line, encoding=name)
    return raw.decode(name).removeprefix("\ufeff"), name


def read_bytes(path: Path) -> bytes:
    """What is in a file.

    Raises:
        WeitiaoError: `file_missing`, `no_permission`.
    """
    with opened(path) as file:
        return file.read()


def file_sha256(path: Path) -> str:
    """The hash of a file as it lies there.

    Raises:
        WeitiaoError: `file_missing`, `no_permission`.
    """
    with _told(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_packed(path: Path) -> bool:
    """Did gzip pack a file, by its name or its first bytes?"""
    if path.suffix.lower() == ".gz":
        return True
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file; what gzip packed is unpacked."""
    with _told(path), path.open("rb") as file:
        if is_packed(path):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast(BinaryIO, unpacked)
        else:
            yield file


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the system says about a file becomes an error with a code."""
    try:
        yield
    except PermissionError:
        raise fault("no_permission", action="read", path=path) from None
    except IsADirectoryError:
        raise fault("folder_for_rows", path=path) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise fault("bad_file", path=path, format="gzip", why=error) from None
    except (OSError, ValueError):  # among them a name that is too long, or no name at all
        raise fault("file_missing", path=path) from None
