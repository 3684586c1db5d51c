"""Sections of a run in a terminal, each by its kind.

{"kind": "rows", "rows": [...], ...}  ->  drawn(section)  ->  what Rich prints, one below the other
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from weitiao.evaluate.report.numbers import number, say

if TYPE_CHECKING:
    from rich.console import RenderableType


def drawn(section: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The parts of a section, in order.

    Args:
        section: as `results.json` holds it.
    """
    yield from {"rows": _rows, "table": _table, "matrix": _matrix, "curve": _curve}[section["kind"]](section)
    if section["foot"]:
        yield escape(say(section["foot"]))


def _rows(section: Mapping[str, Any]) -> Iterator[RenderableType]:
    for row in section["rows"]:
        yield f"\n[bold]{escape(row['text'])}[/bold]"
        facts = [_fact(fact) for fact in row["facts"]]
        facts += [f"× {row['times']}"] if row["times"] > 1 else []
        if facts:
            yield f"  {escape('   '.join([*facts, row['place']]))}"
        for answer in row["answers"]:
            said = answer["text"] if answer["text"].strip() else "-"
            yield f"  [dim]{say(answer['name']):>9}[/dim]  {escape(said)}"


def _fact(fact: Mapping[str, Any]) -> str:
    beside = f" {number(fact['number'])}" if "number" in fact else ""
    return f"{say(fact['name'])} {cell(fact.get('value'))}{beside}"


def _table(section: Mapping[str, Any]) -> Iterator[RenderableType]:
    table = _titled(section, section["head"])
    for column in section["columns"]:
        table.add_column(escape(say(column["title"])), justify="right")
    for row in section["rows"]:
        table.add_row(*map(escape, (say(row["name"]), *map(cell, row["values"]))))
    yield table


def _matrix(section: Mapping[str, Any]) -> Iterator[RenderableType]:
    table = _titled(section, section["corner"])
    for name in section["columns"]:
        table.add_column(escape(say(name)), justify="right")
    for name, values in zip(section["rows"], section["values"], strict=True):
        table.add_row(*map(escape, (say(name), *map(cell, values))))
    yield table


def _curve(section: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Its points as a table: a terminal draws no curves; a cloud of many is left to the page."""
    for line in section["lines"]:
        if not line["joined"]:
            continue
        table = _titled({"title": f"{say(section['title'])}: {say(line['name'])}"}, section["x"])
        table.add_column(escape(say(section["y"])), justify="right")
        for x, y in zip(line["x"], line["y"], strict=True):
            table.add_row(number(x), number(y))
        yield table


def _titled(section: Mapping[str, Any], head: Any) -> Table:
    table = Table(title=escape(say(section["title"])), title_justify="left", title_style="bold")
    table.add_column(escape(say(head)))
    return table


def cell(value: Any) -> str:
    """What stands in a table, on one line."""
    if isinstance(value, Mapping) and "value" in value:
        around = f" [{number(value['low'])}, {number(value['high'])}]" if "low" in value else ""
        return number(value["value"]) + around
    return say(value) if isinstance(value, str | Mapping) else number(value)
