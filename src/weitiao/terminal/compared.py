"""How a comparison goes, in lines and bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from weitiao.core.figures import figure
from weitiao.terminal.screen import Screen

LONGEST = 160
"""Characters of a failure in the terminal."""


def tell(screen: Screen, event: str, **facts: Any) -> None:
    """What happens to a method."""
    if event == "comparing":
        rows = ", ".join(f"{side} {count:,}" for side, count in facts["splits"].items())
        screen.line(f"[bold]compare[/bold] {escape(', '.join(facts['methods']))}  ({rows})")
    elif event == "entrant":
        screen.line(f"[bold]{facts['place']} of {facts['all']}[/bold]  {escape(facts['label'])}")
    elif event == "step":
        screen.bar(escape(facts["label"]), facts["done"], 1.0, note=f"loss {facts['loss']:.3f}")
    elif event == "compared":
        row = facts["row"]
        if row["state"] == "judged" and not facts["kept"]:  # its last steps may not have been seen
            screen.bar(escape(row["label"]), 1.0, 1.0)
        before = "  (judged before)" if facts["kept"] else ""
        screen.line(f"        {_ending(row, facts['metric'])}{before}")


def _ending(row: Mapping[str, Any], metric: str) -> str:
    """How it went, in a line."""
    if row["state"] == "failed":
        return f"[red]failed[/red]  {escape(one_line(row['failure']))}"
    if row["state"] != "judged":
        return row["state"]
    seconds = row["seconds"]["train"]
    return f"{escape(row['label'])}: {metric} {figure(row['score'])}, trained in {seconds:.1f} s"


def one_line(failure: Mapping[str, Any]) -> str:
    """The beginning of a failure: its code, and what is wrong.  Page and JSON have all of it."""
    line = str(failure["message"]).partition("\n")[0]
    return line if len(line) <= LONGEST else line[:LONGEST].rstrip() + " …"
