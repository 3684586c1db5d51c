"""How runs, plans, checks and comparisons look at a prompt and in a notebook: one short line, or a small table.

repr(run)  ->  <Run runs/reviews: judged, accuracy 0.833>
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from weitiao.core.errors import language

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Sheet:
    """What there is to be seen of something."""

    title: str
    """One line."""
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    foot: str = ""
    """A sentence below."""


class Shown(ABC):
    """What is shown by its sheet: a line as `repr`, a table in notebooks (`_repr_html_`) and to Rich (`__rich__`)."""

    @abstractmethod
    def sheet(self) -> Sheet:
        """What there is to be seen, as far as it can be read; never an error."""

    def __repr__(self) -> str:
        return f"<{self.sheet().title}>"

    def _repr_html_(self) -> str:
        sheet = self.sheet()
        head = "".join(f"<th>{escape(name)}</th>" for name in sheet.head)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in sheet.rows
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if sheet.rows else ""
        foot = f"<p>{escape(sheet.foot)}</p>" if sheet.foot else ""
        return f"<div><b>{escape(sheet.title)}</b>{table}{foot}</div>"

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        sheet = self.sheet()
        parts: list[RenderableType] = [Text(sheet.title, style="bold")]
        if sheet.rows:
            table = Table()
            for name in sheet.head:
                table.add_column(Text(name))
            for row in sheet.rows:
                table.add_row(*map(Text, row))
            parts.append(table)
        return Group(*parts, *([Text(sheet.foot)] if sheet.foot else []))


def either(english: str, chinese: str) -> str:
    """The words in the reader's language."""
    return english if language() == "en" else chinese


def megabytes(size: float) -> str:
    """`812 MB`."""
    return f"{size / 1e6:,.0f} MB"
