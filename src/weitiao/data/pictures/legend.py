"""What the values, or the colours, of mask files stand for.

    {"road": 3, "car": [0, 0, 142]}                        ->  Legend(values={3: "road"}, colours={(0, 0, 142): "car"}, ...)
    classes.txt, labelmap.txt, class_dict.csv, id2label.json  ->  the same

| file               | a line, or an entry                                                                     |
| `.txt`             | `road` (its line, from 0, is its value), `0 0 142 car`, or `car:0,0,142::` (CVAT)       |
| `.csv`             | a table with a name and r, g, b (CamVid), or a name and a value (`Pixel Value, Class`)  |
| `.json`            | `["road", "car"]`, `{"0": "road"}`, `{"road": 0}` or `{"car": [0, 0, 142]}`             |
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weitiao.core.errors import fault
from weitiao.core.sections import Masks

FILES = (
    "classes.txt",
    "labels.txt",
    "labelmap.txt",
    "label_colors.txt",
    "class_dict.csv",
    "_classes.csv",
    "classes.json",
    "id2label.json",
)
"""Names by which such a file is found beside the masks."""
COLOUR_FIRST = re.compile(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\S.*)")
CVAT = re.compile(r"([^:#][^:]*):(\d+),(\d+),(\d+)(?::.*)?")
NAMES, VALUES = ("name", "class", "label", "class_name"), ("value", "pixel value", "id", "index", "label_id")
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Legend:
    """What stands for what."""

    values: Mapping[int, str] = field(default_factory=dict)
    """Value -> label; none: each value is a label of its own."""
    colours: Mapping[Colour, str] = field(default_factory=dict)
    """(red, green, blue) -> label."""
    ignored: frozenset[int] = frozenset({255})
    """Values that say nothing."""
    reduced: bool = False
    """Does 0 say nothing, and is every other value one more than what it stands for?"""
    background: str = "background"
    """The label of pixels that no outline holds."""


def legend(masks: Masks, home: str | Path) -> Legend:
    """What a recipe says, or a file beside the masks.

    Args:
        masks: the recipe's `data.masks`.
        home: the folder of the masks.

    Raises:
        WeitiaoError: `bad_file` for a file that cannot be followed, `file_missing`.
    """
    said: Any = masks.classes
    if said is None:
        beside = (Path(home) / name for name in FILES)
        said = next((str(path) for path in beside if path.is_file()), None)
    entries = _of_file(Path(said)) if isinstance(said, str) else (said or {}).items()
    values: dict[int, str] = {}
    colours: dict[Colour, str] = {}
    for label, stands_for in entries:
        if isinstance(stands_for, int):
            values[stands_for] = label
        else:
            red, green, blue = stands_for
            colours[red, green, blue] = label
    return Legend(values, colours, frozenset(masks.ignore_index), masks.reduce_labels, masks.background)


def _of_file(path: Path) -> Iterable[tuple[str, int | Colour]]:
    """Label and value, or label and colour, of every entry."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        kinds = {".json": _of_json, ".csv": _of_csv}
        found = list(kinds.get(path.suffix.lower(), _of_lines)(text))
    except FileNotFoundError:
        raise fault("file_missing", path=path) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise fault("bad_file", path=path, format="data.masks.classes", why=why) from None
    if not found:
        raise fault("bad_file", path=path, format="data.masks.classes", why="0")
    return found


def _of_json(text: str) -> Iterable[tuple[str, int | Colour]]:
    whole = json.loads(text)
    for key, each in enumerate(whole) if isinstance(whole, list) else whole.items():
        if isinstance(each, str):  # a value and its name
            yield each, int(key)
        elif isinstance(each, list):
            red, green, blue = map(int, each)
            yield str(key), (red, green, blue)
        else:
            yield str(key), int(each)


def _of_csv(text: str) -> Iterable[tuple[str, int | Colour]]:
    rows = list(csv.DictReader(text.splitlines(), skipinitialspace=True))
    columns = {str(name).strip().lower(): name for name in (rows[0] if rows else ())}
    name = next(columns[each] for each in (*NAMES, *columns) if each in columns)
    for number, row in enumerate(rows):
        label = row[name].strip()
        if {"r", "g", "b"} <= columns.keys():
            red, green, blue = (int(row[columns[shade]]) for shade in "rgb")
            yield label, (red, green, blue)
        else:
            value = next((columns[each] for each in VALUES if each in columns), None)
            yield label, number if value is None else int(row[value])


def _of_lines(text: str) -> Iterable[tuple[str, int | Colour]]:
    for number, line in enumerate(text.splitlines()):
        said = line.strip()
        if coloured := COLOUR_FIRST.fullmatch(said):
            red, green, blue, label = coloured.groups()
            yield label.strip(), (int(red), int(green), int(blue))
        elif coloured := CVAT.fullmatch(said):
            label, red, green, blue = coloured.groups()
            yield label.strip(), (int(red), int(green), int(blue))
        elif said and not said.startswith("#"):
            yield said, number
