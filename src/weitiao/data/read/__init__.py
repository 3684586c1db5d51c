"""Files in, records out; every record knows its file and line.

    ["reviews.csv", "more.jsonl#500"]  ->  read(sources)  ->  [Source(facts, records, bad rows)]

Text stays text: `NA`, `null` and `None` in a table are words.  Rows that cannot be read are returned beside the
good ones, with the reason; it is `check` that decides what becomes of them.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import fault

SAMPLE = re.compile(r"^(?P<path>.+)#(?P<rows>\d+)$")
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
ENDINGS = {".csv", ".tsv", ".json", ".jsonl", ".ndjson"}


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and why."""

    file: str
    line: int
    reason: str


@dataclass
class Source:
    """What one file gave."""

    path: str
    format: str
    encoding: str
    sha256: str
    columns: list[str]
    records: list[Record]
    bad: list[BadRow] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """The file's line in the ledger."""
        return {
            "path": self.path,
            "format": self.format,
            "encoding": self.encoding,
            "sha256": self.sha256,
            "rows": len(self.records) + len(self.bad),
        }


def read(paths: Iterable[str], *, encoding: str = "auto", seed: int = 0) -> list[Source]:
    """Read files; `path#500` takes a sample of 500 rows that depends on `seed` and the rows, not on their order.

    Raises:
        WeitiaoError: `file_missing`, `no_permission`, `unknown_format`, `empty_file`, `bad_encoding`,
            `unknown_encoding`, `bad_header`, `bad_json`, `open_quote`.
    """
    sources = []
    for name in paths:
        match = SAMPLE.match(name)
        path = Path(match["path"] if match and not Path(name).exists() else name)
        source = read_file(path, encoding=encoding)
        if match and path != Path(name):
            _sample(source, int(match["rows"]), seed=seed)
        sources.append(source)
    return sources


def read_file(path: Path, *, encoding: str = "auto") -> Source:
    """Read one whole file; see `read`."""
    ending = path.suffix.lower()
    if ending not in ENDINGS and os.path.isfile(path):
        raise fault("unknown_format", path=path, ending=ending or path.name)
    raw = read_bytes(path)
    text, found = decode(raw, path, encoding)
    if not text.strip():
        raise fault("empty_file", path=path, why="the file is empty")
    source = Source(str(path), ending[1:], found, hashlib.sha256(raw).hexdigest(), [], [])
    if ending in (".csv", ".tsv"):
        _table(source, text, delimiter="\t" if ending == ".tsv" else _delimiter(text))
    else:
        rows = _json_list(text, path) if ending == ".json" else _json_lines(source, text)
        _objects(source, rows, escaped=bool(SURROGATE.search(text)))
    if not source.records and not source.bad:
        raise fault("empty_file", path=path, why="there is a header and nothing below it")
    return source


def read_bytes(path: Path) -> bytes:
    """What is in a file.

    Raises:
        WeitiaoError: `file_missing`, `no_permission`.
    """
    try:
        return path.read_bytes()
    except PermissionError:
        raise fault("no_permission", action="read", path=path) from None
    except IsADirectoryError:
        raise fault("unknown_format", path=path, ending="/") from None
    except (OSError, ValueError):  # among them a name that is too long, or no name at all
        raise fault("file_missing", path=path) from None


def decode(raw: bytes, path: Path, encoding: str) -> tuple[str, str]:
    """The text of a file and the encoding that gave it.

    Raises:
        WeitiaoError: `unknown_encoding`, or `bad_encoding` with the line of the first bad byte.
    """
    bad = -1
    if encoding != "auto":
        candidates = [encoding]
    elif raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        candidates = ["utf-16"]
    else:
        candidates = ["utf-8-sig" if raw.startswith(codecs.BOM_UTF8) else "utf-8", "gb18030"]
        # UTF-16 without a byte order mark is valid UTF-8, full of zero bytes; and whatever holds some is no text.
        bad = raw.find(b"\0")
    for name in candidates if bad < 0 else ():
        try:
            text = raw.decode(name)
        except UnicodeDecodeError as error:
            bad = error.start if bad < 0 else bad
        except (LookupError, ValueError):  # there are codecs, such as hex, that give no text
            raise fault("unknown_encoding", encoding=encoding) from None
        else:
            if encoding != "auto" or name != "gb18030" or _chinese(raw):
                return text.removeprefix("\ufeff"), name
    line = raw.count(b"\n", 0, bad) + 1
    raise fault("bad_encoding", path=path, line=line, encoding=" or ".join(candidates))


def _chinese(raw: bytes) -> bool:
    # "na\xefve" is valid GB18030: an accented letter of latin-1 takes the letter behind it along.  Characters in use
    # seldom have an ASCII letter as their second byte (in GB 2312 none has), there nearly all do.
    pairs = re.findall(rb"[\x81-\xfe]([\x30-\xfe])", raw)
    return sum(second < b"\x7f" for second in pairs) < 0.9 * len(pairs)


def _delimiter(text: str) -> str:
    # Only the header is asked: commas inside texts say nothing about how columns are set apart.
    header = text.partition("\n")[0]
    return (
        "," if "," in header else max(";\t|", key=header.count) if any(c in header for c in ";\t|") else ","
    )


def _table(source: Source, text: str, *, delimiter: str) -> None:
    # csv's own limit of 131,072 characters a field is a process-wide setting: put it back.
    before = csv.field_size_limit(max(len(text), 1))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    started = 1
    try:
        header = [name.strip() for name in next(row for row in rows if row)]
        _check_header(source.path, header)
        source.columns = header
        started = rows.line_num + 1
        for cells in rows:
            if len(cells) == len(header):
                record = Record(source.path, started, dict(zip(header, cells, strict=True)))
                source.records.append(record)
            elif cells:  # an empty line is no row
                reason = f"{len(cells)} cells where the header has {len(header)}"
                source.bad.append(BadRow(source.path, started, reason))
            started = rows.line_num + 1
    except csv.Error as error:
        raise fault("open_quote", path=source.path, line=started, why=error) from None
    finally:
        csv.field_size_limit(before)


def _check_header(path: str, header: list[str]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise fault("bad_header", path=path, why=f'the column "{twice[0]}" stands twice')
    if "" in header:
        raise fault("bad_header", path=path, why=f"column {header.index('') + 1} has no name")


def _json_list(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise fault(
            "bad_json", path=path, why=f"line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except (RecursionError, ValueError) as error:
        raise fault("bad_json", path=path, why=_why_not(error)) from None
    if not isinstance(rows, list):
        raise fault("bad_json", path=path, why="a list of objects is needed, this is not a list")
    yield from enumerate(rows, start=1)


def _json_lines(source: Source, text: str) -> Iterator[tuple[int, Any]]:
    # Split at line feeds alone: str.splitlines would also cut at U+2028, which JSON strings may hold.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                source.bad.append(BadRow(source.path, number, f"not JSON: {_why_not(error)}"))


def _why_not(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "a number of thousands of digits" if isinstance(error, ValueError) else "nested too deeply"


def _objects(source: Source, rows: Iterable[tuple[int, Any]], *, escaped: bool) -> None:
    columns: dict[str, None] = {}
    for line, row in rows:
        if not isinstance(row, dict):
            source.bad.append(BadRow(source.path, line, f"a {type(row).__name__} where an object is needed"))
        elif escaped and not _is_text(row):
            source.bad.append(BadRow(source.path, line, "it holds half a character (a lone surrogate)"))
        else:
            columns |= dict.fromkeys(row)
            source.records.append(Record(source.path, line, row))
    source.columns = list(columns)


def _is_text(row: dict[str, Any]) -> bool:
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _sample(source: Source, rows: int, *, seed: int) -> None:
    def chance(record: Record) -> str:
        content = json.dumps(record.values, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(f"{seed}:{content}".encode()).hexdigest()

    chosen = sorted(source.records, key=chance)[:rows]
    source.records = sorted(chosen, key=lambda record: record.line)
    source.bad = []  # a sample is of the rows that can be read
    source.path += f"#{rows}"


def table_rows(table: Any) -> list[Mapping[str, Any]]:
    """The rows of a pandas table or of a list of dicts.

    Raises:
        WeitiaoError: `wrong_usage` when it is neither.
    """
    rows = table.to_dict("records") if hasattr(table, "to_dict") else table
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        way = "give a path, a pandas table, or a list of dicts"
        raise fault("wrong_usage", why=f"rows of type {type(table).__name__} are not read", way=way)
    return [{str(key): _plain(value) for key, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    """A JSON value: NumPy scalars become Python's, a missing cell (NaN) becomes None."""
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    return None if isinstance(value, float) and value != value else value
