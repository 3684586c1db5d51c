"""An Excel sheet in, one record a row out; typed cells become plain values, text stays text."""

from __future__ import annotations

import datetime
import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError, fault, need
from weitiao.core.why import reason
from weitiao.data.read.source import BadRow, Source, shown
from weitiao.data.read.tables import kept_columns
from weitiao.data.read.text import file_sha256
from weitiao.data.read.values import plain

ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
"""How a workbook writes a character that XML cannot hold (ECMA-376, ST_Xstring)."""


def read_excel(path: Path, *, format: str) -> Source:
    """Open the first sheet of a workbook; its first row that is not empty names the columns.

    Raises:
        WeitiaoError: `missing_extra`, `bad_file`, `bad_header`, `empty_file`; what opening a file raises.
    """
    name, sha256 = str(path), file_sha256(path)
    with _opened(path) as book:
        sheets = [sheet.title for sheet in book.worksheets]
        filled = _filled(book)
        start, first = next(filled, (0, []))
        header = ["" if cell is None else str(cell).strip() for cell in first]
        if not start:
            raise fault("empty_file", path=path, why=reason("sheet_is_empty"))
        kept, unnamed = kept_columns(name, header, (cells for _, cells in filled))
    columns = [header[at] for at in kept]

    def rows() -> Iterator[Record | BadRow]:
        with _opened(path) as book:
            for number, cells in _filled(book):
                if number <= start:
                    continue
                if len(cells) > len(header):
                    why = reason("other_cells", cells=len(cells), header=len(header))
                    yield BadRow(name, number, why, shown(json.dumps(cells, ensure_ascii=False)))
                else:
                    cells += [None] * (len(header) - len(cells))
                    yield Record(name, number, {header[at]: cells[at] for at in kept})

    others = ", ".join(f'"{title}"' for title in sheets[1:])
    notes = (reason("sheet_read", name=sheets[0], others=others),) if others else ()
    return Source(name, format, "", sha256, columns, rows, (*notes, *unnamed))


def _filled(book: Any) -> Iterator[tuple[int, list[Any]]]:
    """The number and the cells of every row in which something stands; empty cells at its end are none."""
    if not book.worksheets:
        return
    sheet = book.worksheets[0]
    # The size that a file gives for its sheet may be wrong, and rows beyond it would be lost.
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        cells = [_cell(cell) for cell in row]
        while cells and cells[-1] in (None, ""):
            cells.pop()
        if cells:
            yield number, cells


def _cell(value: Any) -> Any:
    """What a reader of the sheet sees: a day without a time, the character that `_x000D_` stands for."""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time.min:
        return value.date().isoformat()  # Excel knows no days, only midnights
    if isinstance(value, str) and "_x" in value:
        # A literal one is written `_x005F_x000D_`.  A character beyond U+FFFF is two of these.
        found = ESCAPED.sub(lambda match: chr(int(match[1], 16)), value)
        return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return plain(value)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    openpyxl = need("openpyxl", extra="data")
    try:
        # As bytes: openpyxl would go by the name.
        with path.open("rb") as file:
            with warnings.catch_warnings():  # of styles and charts, which are nothing to us
                warnings.simplefilter("ignore")
                book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            try:
                yield book
            finally:
                book.close()
    except WeitiaoError:
        raise
    except (
        Exception
    ) as error:  # a broken workbook makes zipfile, expat and openpyxl raise whatever they meet first
        why = str(error).partition("\n")[0] or type(error).__name__
        raise fault("bad_file", path=path, format="Excel", why=why) from None
