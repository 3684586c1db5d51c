"""`weitiao check`: will a recipe train, and does the engine keep its promises on this model?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from weitiao.cli.options import Json, Overrides, Quiet, Verbose, emit, span
from weitiao.core.why import reason

if TYPE_CHECKING:
    from weitiao.forecast.equalities import Equality


def check(
    recipe: Annotated[str, typer.Argument(help="A YAML recipe.")],
    overrides: Overrides = None,
    numerics: Annotated[
        bool, typer.Option("--numerics", help="Compute ways that must give the same, on some of its rows.")
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Try a recipe without training: its keys, whether method, model, task and some of its rows fit; with --numerics
    the equalities.

    Exit code 5 when an equality does not hold.
    """
    from weitiao import api
    from weitiao.terminal.show import Show

    show = Show(quiet=quiet or json)
    with show:
        resolved, rows, notices = api.fitting(recipe, overrides=overrides or (), progress=show.fetching)
        found = api.numerics(recipe, overrides=overrides or (), progress=show.fetching) if numerics else []
    for text in notices:
        show.tell("notice", text=text)
    if json:
        emit(
            {
                "recipe": resolved.model_dump(),
                "notices": notices,
                "equalities": [each.to_dict() for each in found],
            }
        )
    elif found:
        _table(found)
    else:
        print(reason("recipe_fits", rows=f"{rows:,}"))
    if not all(each.holds for each in found):
        raise typer.Exit(5)


def tried(recipe: str, overrides: list[str], *, quiet: bool, json: bool) -> None:
    """`weitiao train RECIPE --dry-run`."""
    from weitiao import api
    from weitiao.terminal.show import Show

    show = Show(quiet=quiet or json)
    with show:
        found = api.dry_run(recipe, overrides=overrides, tell=show.tell, progress=show.fetching)
    for text in found.notices:
        show.tell("notice", text=text)
    if json:
        emit(found.to_dict())
        return
    print(reason("tried_rows", tried=f"{found.tried:,}", rows=f"{found.rows:,}"))
    print(reason("full_run", steps=f"{found.steps:,}", time=span(found.seconds)))
    print(reason("memory_was_held", size=f"{found.memory_mb:,.0f}"))
    print(reason("disk_taken", size=f"{found.disk_mb:,.0f}", free=f"{found.free_mb:,.0f}"))


def _table(found: list[Equality]) -> None:
    from rich.table import Table

    from weitiao.cli.show import out

    table = Table("", reason("difference"), reason("may_be"), "")
    for each in found:
        apart = "-" if each.note else reason("nothing") if each.found == 0 else f"{each.found:.1e}"
        verdict = each.note or (
            reason("holds") if each.holds else f"[bold red]{reason('does_not_hold')}[/bold red]"
        )
        table.add_row(
            each.name, apart, reason("nothing") if each.bound == 0 else f"{each.bound:.0e}", verdict
        )
    out.print(table)
