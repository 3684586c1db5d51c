"""Files in, records out; every record knows its file and line.

    ["reviews.csv", "more.jsonl#500"]  ->  read(paths)  ->  [Source, Source];  source.rows()  ->  Record | BadRow ...

Opening a file goes through it once, for its hash and its encoding; `rows()` reads it again from the beginning,
lazily, so that a file may be larger than memory.  Text stays text: `NA`, `null` and `None` in a table are words.
Rows that cannot be read come beside the good ones, with the reason; it is `check` that decides what becomes of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.why import reason
from weitiao.data.read import hugging
from weitiao.data.read.content import binary, content, refuse_nameless, refuse_stand_in
from weitiao.data.read.excel import read_excel
from weitiao.data.read.images import read_images
from weitiao.data.read.json import read_json
from weitiao.data.read.lines import read_conll, read_lines
from weitiao.data.read.memory import table_rows
from weitiao.data.read.parquet import read_parquet
from weitiao.data.read.sample import sampled
from weitiao.data.read.source import BadRow, Source
from weitiao.data.read.tables import read_table
from weitiao.data.read.text import decode, is_packed, open_text, read_bytes

__all__ = ["BadRow", "Source", "decode", "parted", "read", "read_bytes", "read_file", "table_rows"]

SAMPLE = re.compile(r"^(?P<path>.+)#(?P<rows>\d+)$")
TEXTS: dict[str, Callable[..., Source]] = {
    ".csv": read_table,
    ".tsv": read_table,
    ".json": read_json,
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".txt": read_lines,
    ".md": read_lines,
    ".conll": read_conll,
    ".bio": read_conll,
    ".iob": read_conll,
}
"""Ending -> reader of text; each may have `.gz` behind it."""
OTHERS: dict[str, Callable[..., Source]] = {
    ".parquet": read_parquet,
    ".xlsx": read_excel,
    ".xlsm": read_excel,
}
READERS: dict[str, Callable[..., Source]] = {"json": read_json, "conll": read_conll, "csv": read_table}
"""What `content` finds -> its reader."""


def read(
    paths: Iterable[str], *, encoding: str = "auto", seed: int = 0, format: str = "auto", blank: bool = False
) -> list[Source]:
    """Open files; `path#500` takes a sample of 500 rows that depends on `seed` and the rows, not on their order.

    Raises:
        WeitiaoError: as `read_file`.
    """
    sources = []
    for name in paths:
        path, rows = parted(name)
        source = read_file(path, encoding=encoding, format=format, blank=blank)
        sources.append(source if rows is None else sampled(source, rows, seed=seed))
    return sources


def parted(name: str) -> tuple[str, int | None]:
    """`reviews.csv#500` as the file and the size of the sample; None for all rows."""
    match = SAMPLE.match(name)
    return (match["path"], int(match["rows"])) if match and not os.path.exists(name) else (name, None)


def read_file(
    path: str | Path, *, encoding: str = "auto", format: str = "auto", blank: bool = False
) -> Source:
    """Open one file, a folder, or a data set of Hugging Face (`hf:owner/name`).

    Args:
        path: what to read; its ending tells how, unless it holds something else beyond doubt.
        encoding: of text files; `auto` finds UTF-8, UTF-16/32 with a mark, GB 18030, Big5 and cp1252 (latin-1).
        format: the recipe's `data.format`; `conll` makes a `.txt`, a table or a file of unknown ending one of
            tokens and tags, `text` a file of unknown ending one of lines.
        blank: blank lines of plain text are rows too.

    Raises:
        WeitiaoError: `file_missing`, `no_permission`, `unknown_format`, `empty_file`, `bad_file`, `bad_encoding`,
            `zero_bytes`, `unknown_encoding`, `bad_header`, `open_quote`, `bad_json`, `nameless_table`, `missing_extra`,
            `no_dataset`, `stand_in`.
    """
    if str(path).startswith(hugging.PREFIX):
        source = hugging.read_dataset(str(path))
    elif str(path) and os.path.isdir(path):
        folder = Path(path)
        table = partial(_read_one, encoding=encoding, format=format, blank=blank)
        source = (
            hugging.read_dataset(str(path))
            if hugging.is_saved(folder)
            else read_images(folder, table=table, format=format)
        )
    else:
        source = _read_one(Path(str(path) or "\0"), encoding, format, blank=blank)
    with closing(cast(Any, source.rows())) as rows:
        if next(rows, None) is None:
            why = reason("no_rows_below" if source.columns else "no_rows")
            raise fault("empty_file", path=path, why=why)
    return source


def _read_one(path: Path, encoding: str, format: str, *, blank: bool) -> Source:
    packed = path.suffix.lower() == ".gz"
    ending = Path(path.stem if packed else path.name).suffix.lower()
    name = ending.removeprefix(".") + (".gz" if packed else "")
    # A pipe cannot be gone through twice, and opening one would wait for ever.
    if os.path.exists(path) and not os.path.isfile(path):
        raise fault("bad_file", path=path, format=name or "-", why=reason("no_file"))
    if not os.path.isfile(path):
        raise fault("file_missing", path=path)
    # A broken workbook or an empty Parquet file is still one.
    held = binary(path) or (ending.removeprefix(".") if ending in OTHERS and not packed else "")
    if held:
        return _told(OTHERS[f".{held}"](path, format=held), held, said=ending)
    reader = TEXTS.get(ending)
    try:
        text = open_text(path, encoding)
    except WeitiaoError as error:
        if (
            reader
            or format in ("conll", "text")
            or error.code not in ("bad_encoding", "zero_bytes", "bad_file")
        ):
            raise
        raise fault("unknown_format", path=path, ending=path.suffix or path.name) from None
    if reader not in (read_lines, read_conll):
        refuse_stand_in(text)
    if not packed and is_packed(path):
        name += ".gz"
    if format == "conll" and reader in (None, read_lines, read_table):
        return read_conll(text, format=name)
    if format == "text" and reader in (None, read_lines):
        return read_lines(text, format=name, blank=blank)
    found = content(text) if ending != ".md" else ""
    if found and READERS[found] is not reader and not (found == "csv" and reader is read_conll):
        return _told(READERS[found](text, format=found), found, said=ending)
    if reader is None:
        raise fault("unknown_format", path=path, ending=path.suffix or path.name)
    if reader is read_lines and ending == ".txt":
        refuse_nameless(text)
    return read_lines(text, format=name, blank=blank) if reader is read_lines else reader(text, format=name)


def _told(source: Source, held: str, *, said: str) -> Source:
    """The source; where a file's name says something else, with a note of what it holds."""
    if said == f".{held}" or (said, held) == (".xlsm", "xlsx"):
        return source
    return replace(source, notes=(*source.notes, reason(f"holds_{held}")))
