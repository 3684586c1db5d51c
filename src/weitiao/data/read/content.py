"""What a file holds, by its beginning: names lie.

    "EU NNP B-NP B-ORG\\nrejects VBZ B-VP O\\n\\n"  ->  content(text)  ->  "conll"

Only what leaves no doubt is told: lines of prose with a comma in each are lines of prose.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias

from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.data import formats
from weitiao.data.read.json import begins_json
from weitiao.data.read.tables import SAYS, delimiter_of, taken_apart
from weitiao.data.read.text import Text

Kind: TypeAlias = Literal["", "json", "conll", "csv"]
STAND_INS = {"version https://git-lfs": "lfs_pointer", "<!doctype html": "web_page", "<html": "web_page"}
"""How what stands in a file's place begins, and what it is."""
HEAD = 400  # lines that are looked at
FEWEST = 3
LABEL = 40  # characters of a cell that may be a label
TAG = re.compile(r"O|[BIESLUM][-_]\S+|_")


def content(text: Text) -> Kind:
    """JSON, CoNLL or a table whose header bears names that rows have; empty for everything else."""
    head = [line.rstrip("\r\n") for line in islice(text.lines(newline=""), HEAD)]
    said = [line for line in head if line.strip()]
    if not said:
        return ""
    if begins_json(text):
        return "json"
    if _conll(head):
        return "conll"
    return "csv" if SAYS.fullmatch(said[0]) or _table(said) else ""


def _conll(head: Sequence[str]) -> bool:
    """Lines of as many cells each, the last of which is a tag of spans; sentences are set apart by empty lines."""
    lines = [line for line in head if line.strip() and not line.startswith(("-DOCSTART-", "# "))]
    cells = [line.split("\t") if "\t" in line else line.split() for line in lines]
    if len(lines) < FEWEST or len({len(row) for row in cells}) != 1 or len(cells[0]) < 2:
        return False
    if len(cells[0]) == 10 and all(row[0].partition("-")[0].partition(".")[0].isdigit() for row in cells):
        return True  # Universal Dependencies
    tags = [row[-1].strip() for row in cells]
    return all(map(TAG.fullmatch, tags)) and any(tag[:2] in ("B-", "I-", "S-", "U-", "B_") for tag in tags)


def _table(said: Sequence[str]) -> bool:
    """A header with names that a row format knows, and rows of as many cells below it."""
    rows = list(taken_apart(iter([f"{line}\n" for line in said]), delimiter=delimiter_of(said[0])))
    header, *below = [cells for _, cells, _ in rows]
    if isinstance(header, str) or len(header) < 2 or len(below) < FEWEST - 1:
        return False
    whole = sum(len(cells) == len(header) for cells in below if not isinstance(cells, str))
    return (
        whole >= 0.9 * len(below) and formats.guess([name.strip() for name in header], columns={}) is not None
    )


def refuse_nameless(text: Text) -> None:
    """A text file whose every line is cells set apart by tabs, one of them a label, is a table without names.

    Raises:
        WeitiaoError: `nameless_table`.
    """
    said = [line.rstrip("\r\n") for line in islice(text.lines(), HEAD) if line.strip()]
    rows = [line.split("\t") for line in said]
    if len(rows) < FEWEST or len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        return
    for column in zip(*rows, strict=True):
        if len(set(column)) <= len(rows) / 2 and all(0 < len(cell) <= LABEL for cell in column):
            raise fault("nameless_table", path=text.path, cells=len(rows[0]))


def refuse_stand_in(text: Text) -> None:
    """What a download or a clone leaves in a table's place is no table.

    Raises:
        WeitiaoError: `stand_in`.
    """
    first = next((line.strip() for line in text.lines() if line.strip()), "")
    for start, kind in STAND_INS.items():
        if first.lower().startswith(start):
            raise fault("stand_in", path=text.path, what=reason(kind))


def binary(path: Path) -> str:
    """`parquet` or `xlsx`, by how a file begins; empty for everything else."""
    try:
        with path.open("rb") as file:
            mark = file.read(4)
        if mark == b"PK\x03\x04":
            with zipfile.ZipFile(path) as packed:
                return "xlsx" if any(name.startswith("xl/") for name in packed.namelist()) else ""
    except (OSError, ValueError, zipfile.BadZipFile):
        return ""  # whoever opens it will say what is wrong
    return "parquet" if mark == b"PAR1" else ""
