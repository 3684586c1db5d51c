"""How what lies on the shelves looks in a terminal: embedded models and data sets, and tasks, metrics and augmentations,
all of them in a table or one in full.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from weitiao.cli import show_methods
from weitiao.cli.translated import chinese
from weitiao.core import registry
from weitiao.core.display import either
from weitiao.core.errors import language
from weitiao.core.why import reason
from weitiao.evaluate.words import words

# No emoji codes: a text with ":smile:" in it is shown as it is.
out = Console(highlight=False, soft_wrap=True, emoji=False)


def catalogue(entries: Mapping[str, Any], *, json: bool) -> None:
    """Embedded models or data sets."""
    if json:
        print(json_module.dumps([asdict(entry) for entry in entries.values()], ensure_ascii=False, indent=1))
        return
    for name, entry in entries.items():
        size = (
            reason("parameters_in_millions", count=f"{entry.parameters / 1e6:.0f}")
            if hasattr(entry, "parameters")
            else reason("rows_in_all", count=f"{entry.rows:,}")
        )
        fetched = reason("to_fetch", size=f"{entry.download_mb:.0f}")
        read = ", ".join(map(_said, entry.languages)) or either("pictures", "图片")
        out.print(f"[bold]{name}[/bold]  {read}; {size}; {fetched}")
        out.print(f"    {either('good for:', '适用：')} {escape(_said(entry.good_for))}")
        out.print(f"    {either('licence: ', '许可：')} {escape(_said(entry.licence))}")
        package = f" ({entry.source.package} {entry.source.version})" if entry.source else ""
        origin = escape(_said(entry.origin)) + package
        out.print(f"    {either('origin:  ', '来源：')} {origin}")


def _said(english: str) -> str:
    return chinese()["assets"].get(english, english) if language() == "zh" else english


def shelf(name: str, one: str = "", *, json: bool) -> None:
    """The tasks, metrics or augmentations, with their settings and defaults; or `one` of them, with what these mean.

    Raises:
        WeitiaoError: `unknown_name`, with the nearest name.
    """
    if one:
        found = _facts(name, one)
        kind = registry.entry(name, one).kind
        found |= {"meanings": registry.meanings(kind), "choices": registry.choices(kind)}
        if json:
            print(json_module.dumps(found, ensure_ascii=False, indent=1))
        else:
            _in_full(name, found)
        return
    rows = [_facts(name, each) for each in registry.names(name)]
    if json:
        print(json_module.dumps(rows, ensure_ascii=False, indent=1))
        return
    table = Table()
    table.add_column(either("name", "名称"), no_wrap=True)
    title, _ = _last(name, rows[0])
    for head in (either("what", "说明"), either("settings", "设置"), title):
        table.add_column(head, overflow="fold")
    for facts in rows:
        shown = "\n".join(f"{key}={value}" for key, value in facts["settings"].items()) or "-"
        cells = (
            f"[bold]{facts['name']}[/bold]",
            *map(escape, (_what(name, facts), shown, _last(name, facts)[1])),
        )
        table.add_row(*cells)
    Console(highlight=False).print(table)


def _facts(shelf: str, name: str) -> dict[str, Any]:
    entry = registry.entry(shelf, name)
    kind = entry.kind
    facts: dict[str, Any] = {"name": name, "summary": kind.summary, "settings": registry.defaults(entry)}
    if shelf == "augmentation":
        return facts | {"works_on": kind.works_on, "source": kind.source}
    if shelf == "metric":
        needs = list(kind.needs)
        way = {"higher_is_better": kind.higher_is_better, "ideal": kind.ideal, "graded": kind.graded}
        return facts | {**way, "needs": needs, "source": kind.source}
    return facts | {"formats": kind.shape.formats, "columns": kind.shape.columns}


def _in_full(shelf: str, facts: Mapping[str, Any]) -> None:
    out.print(Text(facts["name"], style="bold"))
    out.print()
    title, last = _last(shelf, facts)
    told = {either("what", "说明"): _what(shelf, facts), title: last}
    if shelf == "task":
        told[either("columns", "列")] = ", ".join(facts["columns"])
    else:
        told[either("source", "来源")] = facts["source"]
    show_methods.told(told)
    show_methods.settings(facts)


def _what(shelf: str, facts: Mapping[str, Any]) -> str:
    """What a thing of the shelf is, in the reader's language; of a metric what it is called in Chinese where messages are, and which way is up."""
    if shelf != "metric":
        known = chinese()[shelf] if language() == "zh" else {}
        return str(known.get(facts["name"], facts["summary"]))
    called = words("zh").get(facts["name"], facts["summary"]) if language() == "zh" else facts["summary"]
    if (ideal := facts["ideal"]) is not None:
        return f"{called} ({either(f'nearest to {ideal:g} is best', f'越接近 {ideal:g} 越好')})"
    if not facts["graded"]:
        return f"{called} ({either('neither more nor less is better', '无所谓高低')})"
    up = facts["higher_is_better"]
    return f"{called} ({either('higher is better', '越高越好') if up else either('lower is better', '越低越好')})"


def _last(shelf: str, facts: Mapping[str, Any]) -> tuple[str, str]:
    """What stands in the last column: its head, and of one thing."""
    if shelf == "task":
        return either("row formats", "数据格式"), ", ".join(facts["formats"])
    if shelf == "metric":
        return either("goes by", "依据"), ", ".join(facts["needs"])
    return either("source", "来源"), str(facts["source"])
