"""The verb `stress`, and how a stress test looks in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from weitiao.cli.options import Base, Json, Quiet, Verbose, emit
from weitiao.core.display import either


def stress(
    run: Annotated[str, typer.Argument(help="A run folder.")],
    rows: Annotated[int, typer.Option(help="So many test rows at most, drawn by the seed.")] = 1000,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Share of the letters or words that typos and synonyms change; default: 0.05, of synonyms 0.1."
        ),
    ] = None,
    group_column: Annotated[
        str, typer.Option(help="A column of the rows' files: look at gaps between its groups, too.")
    ] = "",
    groups: Annotated[
        Path | None,
        typer.Option(
            help="A file that has this column beside the same texts, instead of the rows' own files."
        ),
    ] = None,
    base: Base = "",
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Ask a run's model its test rows again, with typos, in other case, with synonyms, with gender, names and origin
    swapped, and say what that changes.

    Every line compares the same rows before and after.  What is found goes into stress.json in the run folder, and onto
    its page.
    """
    from weitiao import api
    from weitiao.terminal.show import Show

    show = Show(quiet=quiet or json)
    with show:
        found = api.load(run, base=base).stress(
            rows=rows, rate=rate, group_column=group_column, groups=groups or "", tell=show.tell
        )
    if json:
        emit(found.results)
    else:
        _show(found.results)


def _show(results: Mapping[str, Any]) -> None:
    from rich.markup import escape

    from weitiao.cli.show import out
    from weitiao.cli.show_sections import drawn

    for part in (part for part in results.values() if isinstance(part, Mapping) and "why" in part):
        out.print(escape(part["why"]))
    for one in results["missing"]:
        out.print(
            escape(either(f"missing: {one['what']}: {one['why']}", f"缺少：{one['what']}：{one['why']}"))
        )
    for section in results["sections"].values():
        if section["brief"]:
            out.print(*drawn(section), sep="\n")
