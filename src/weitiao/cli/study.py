"""How a study ends in a terminal: its tables, which of its runs have failed and why, a sentence, and where its page is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weitiao.cli.options import emit
from weitiao.core.why import reason
from weitiao.evaluate.words import named

if TYPE_CHECKING:
    from rich.console import Console

    from weitiao.study.schedule import Study

FAILED = 5  # the exit code when a run of a study has failed, as for a run that fails

Resume = Annotated[bool, typer.Option("--resume", help="Go on: what is judged stays, the rest is trained.")]


def shown(found: Study, draw: Callable[[Console], Iterable[Any]], *, json: bool) -> None:
    """Print a study.

    Args:
        found: the study.
        draw: the tables of it, as wide as a console is.
        json: print its JSON instead.

    Raises:
        typer.Exit: with 5, when a run has failed.
    """
    if json:
        emit(found.results)
    else:
        _print(found, draw)
    if found.failed:
        raise typer.Exit(FAILED)


def _print(found: Study, draw: Callable[[Console], Iterable[Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape

    from weitiao.cli.show import out
    from weitiao.terminal.compared import one_line

    console, results = Console(highlight=False), found.results
    for table in draw(console):
        console.print(table)
    for row in results[found.kind.parts]:
        if row["state"] == "failed":
            said = escape(one_line(row["failure"]))
            out.print(f"[red]{named('failed')}[/red]  [bold]{escape(row['label'])}[/bold]: {said}")
    out.print(escape(results["sentence"]))
    out.print("\n" + reason("page_at", path=found.page.resolve()))
