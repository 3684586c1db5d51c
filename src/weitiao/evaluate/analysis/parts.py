"""Which parts of the rows are looked at: by length, words that are new, file, language, label, and any column.

rows  ->  parts_of(rows, {"shop": ["a", "b", ...]})  ->  [Part("length", "1-34 characters", mask), Part("shop", "a", mask)]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weitiao.core.contracts import Told, both
from weitiao.core.contracts.section import Words
from weitiao.data.doctor.scripts import LOOKED_AT, han_variant, latin_language, main_script
from weitiao.evaluate.worst import text

BINS = 4
"""Into so many parts numbers are cut, each with about equally many rows."""
VALUES = 50
"""Of a column with more values, so many that most rows have are looked at."""
GREY = 0.01
"""Below this `colour` a picture is grey: JPEG leaves grey pictures a little of it."""
COUNTED = 12
"""A column of numbers with more values than this is cut into bins."""


@dataclass(frozen=True)
class Part:
    """Some of the rows."""

    by: str
    """What they have in common: `length`, `tokens`, `unseen_words`, `pixels`, `aspect`, `light`, `contrast`, `colours`, `file`, `language`, `label`, or a column."""
    name: Words
    """Which of it."""
    rows: Any
    """Which rows those are (N,), true or false."""


def parts_of(
    rows: Told,
    columns: Mapping[str, Sequence[Any]] | None = None,
    *,
    unseen: Sequence[float | None] = (),
) -> list[Part]:
    """Every part; nothing that all rows have in common is one.

    Args:
        rows: what was expected of each, how many tokens it has (`row_tokens`), and where it lies.
        columns: by name the value of each row, None where it has none.
        unseen: of each row how many per cent of its words no training row has.
    """
    found = [
        *_binned("length", [len(text(row)) for row in rows], both("{} characters", "{} 个字符")),
        *_binned("tokens", [row.get("row_tokens") for row in rows], both("{} tokens", "{} 个词元")),
        *_binned("unseen_words", unseen, both("{} %", "{} %")),
        *_pictured(rows),
        *_valued("file", [row.get("file") for row in rows]),
        *_valued("language", [language_of(text(row)) for row in rows]),
        *_labelled(rows),
    ]
    for name, values in (columns or {}).items():
        found += _column(name, values)
    return [part for part in found if 0 < part.rows.sum() < len(rows)]


def language_of(words: str) -> str:
    """Script and language, as far as letters and frequent words tell: `Latin, en`, `Han, simplified`; empty for neither."""
    words = words[:LOOKED_AT]
    script = main_script(words)
    known = {"Latin": latin_language, "Han": han_variant}.get(script)
    said = known(words) if known else ""
    return f"{script}, {said}" if said and said != "unknown" else script


def _pictured(rows: Told) -> Iterator[Part]:
    """By what is known of pictures (`data.pictures.looks`); nothing of rows without."""
    sides = [(row.get("width"), row.get("height")) for row in rows]
    known = [(w, h) if w and h else None for w, h in sides]
    yield from _binned("pixels", [each and each[0] * each[1] for each in known], both("{} pixels", "{} 像素"))
    yield from _binned("aspect", [each and round(each[0] / each[1], 2) for each in known], both("{}", "{}"))
    for name in ("light", "contrast"):
        yield from _binned(name, [row.get(name) for row in rows], both("{}", "{}"))
    colours = [row.get("colour") for row in rows]
    for grey, title in ((True, both("grey", "灰度")), (False, both("in colour", "彩色"))):
        inside = np.array([value is not None and (value < GREY) == grey for value in colours])
        if inside.any():
            yield Part("colours", title, inside)


def _labelled(rows: Told) -> Iterator[Part]:
    if rows and "label" in rows[0]:
        yield from _valued("label", [row["label"] for row in rows])
    elif rows and "labels" in rows[0]:
        counts = Counter(label for row in rows for label in row["labels"])
        for label, _ in counts.most_common(VALUES):
            yield Part("label", label, np.array([label in row["labels"] for row in rows]))


def _column(name: str, values: Sequence[Any]) -> Iterator[Part]:
    known = [value for value in values if value is not None]
    numbers = [_number(value) for value in known]
    if len(set(map(str, known))) > COUNTED and known and all(one is not None for one in numbers):
        yield from _binned(name, [_number(value) for value in values], both("{}", "{}"))
    else:
        yield from _valued(name, [None if value is None else str(value) for value in values])


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found) else None


def _binned(by: str, values: Sequence[Any], name: Any) -> Iterator[Part]:
    """Bins of about equally many rows; equal numbers stay together."""
    sizes = np.array([np.nan if value is None else value for value in values], dtype=float)
    known = sizes[np.isfinite(sizes)]
    if not len(known):
        return
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:], method="lower"))
    low = -np.inf
    for high in edges:
        inside = (sizes > low) & (sizes <= high)
        if inside.any():
            ends = sorted({float(sizes[inside].min()), float(sizes[inside].max())})
            said = "–".join(f"{end:,.0f}" if end == int(end) else f"{end:.4g}" for end in ends)
            yield Part(by, both(name.en.format(said), name.zh.format(said)), inside)
        low = high


def _valued(by: str, values: Sequence[Any]) -> Iterator[Part]:
    array = np.array(["" if value is None else str(value) for value in values], dtype=object)
    for value, _ in Counter(one for one in array.tolist() if one).most_common(VALUES):
        yield Part(by, value, array == value)
