"""How methods look in a terminal: all of them in a line each, or one in full, in the reader's language.

Lines are broken by `core/wrap.py` and not by Rich, which breaks Chinese anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from weitiao.api import methods
from weitiao.core.errors import language
from weitiao.core.meanings import meaning
from weitiao.core.wrap import wrap

WIDEST = 120  # longer lines are hard to read
GAP = "  "


def overview() -> None:
    """Every method: its name, what trains, its share of the parameters; family by family."""
    console, lang = _console(), language()
    say, headings, rows = methods.words(lang), methods.families(lang), methods.shelf()
    width = _width(console)
    cells = [(one["name"], *(one[lang].get(key, "") for key in ("title", "what", "share"))) for one in rows]
    table = [tuple(say[label] for label in ("name", "called", "what", "short_share")), *cells]
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    if sum(widths) + len(GAP) * len(widths) > width:
        # No room for what they are called.
        table, widths = [(row[0], *row[2:]) for row in table], [widths[0], *widths[2:]]
    spare = width - len(GAP) * len(widths) - sum(widths)
    widths[-2] = max(20, widths[-2] + min(0, spare))
    console.print(*(Text(f"{GAP}{line}", style="dim") for line in _row(table[0], widths)), sep="\n")
    for family, group in groupby(zip(rows, table[1:], strict=True), key=lambda pair: pair[0]["family"]):
        console.print(Text(f"\n{headings[family]}", style="bold"))
        for _, row in group:
            _named(console, _row(row, widths), row[0])
    console.print()
    for word in ("head_too", "more"):
        for line in wrap(say[word], width):
            console.print(Text(line))


def method(name: str) -> None:
    """One method in full.

    Raises:
        WeitiaoError: `unknown_name`, with the nearest name.
    """
    one, lang = methods.facts(name), language()
    console, say, advice = _console(), methods.words(lang), one[lang]
    console.print(Text.assemble((name, "bold"), f"{GAP}{advice['title']}" if "title" in advice else ""))
    console.print()
    told({say[key]: value for key, value in methods.told(one, lang).items()})
    settings(one)


def told(facts: Mapping[str, str]) -> None:
    """Facts below each other, each behind its label."""
    console = _console()
    label = max(map(cell_len, facts))
    for key, value in facts.items():
        for line in _row((key, value), (label, _width(console) - label - len(GAP))):
            text = Text(line)
            text.stylize("dim", 0, len(key) if line.startswith(key) else 0)
            console.print(text)


def settings(one: Mapping[str, Any]) -> None:
    """What can be set on a method or anything else of a shelf: its default, what it means, which values it takes.

    Args:
        one: `settings`, `meanings` and `choices`, by their names.
    """
    console, say = _console(), methods.words(language())
    known = [(key, plain(value)) for key, value in one["settings"].items()]
    console.print(Text.assemble("\n", (say["settings"], "bold")))
    if not known:
        console.print(Text(f"{GAP}{say['no_settings']}"))
        return
    keys, defaults = (max(map(cell_len, column)) for column in zip(*known, strict=True))
    defaults = min(defaults, 24)
    meanings = max(20, _width(console) - len(GAP) * 3 - keys - defaults)
    for key, default in known:
        means = meaning(one["meanings"].get(key, ""))
        if key in one["choices"]:
            named = ", ".join(map(plain, one["choices"][key]))
            means = f"{means} {say['one_of'].format(named)}".strip()
        _named(console, _row((key, default, means), (keys, defaults, meanings)), key)


def plain(value: Any) -> str:
    """A value as it stands in a recipe."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _row(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """The lines of a row, each cell wrapped in its column."""
    columns = [wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, columns))):
        parts = (lines[number] if number < len(lines) else "" for lines in columns)
        yield GAP.join(
            set_cell_size(part, max(width, cell_len(part))) for part, width in zip(parts, widths, strict=True)
        ).rstrip()


def _named(console: Console, lines: Iterable[str], name: str) -> None:
    """A row that begins with a name."""
    for number, line in enumerate(lines):
        text = Text(f"{GAP}{line}")
        if number == 0:
            text.stylize("bold", len(GAP), len(GAP) + len(name))
        console.print(text)


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True, emoji=False)


def _width(console: Console) -> int:
    return min(console.width, WIDEST)
