"""`weitiao check`: will a recipe train, and does the engine keep its promises on this model?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from weitiao.cli.options import Json, Overrides, Quiet, Verbose, emit, span

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
        print(
            f"the recipe fits its model, method, task and the {rows:,} rows that were looked at; "
            "`weitiao data check` looks at all of them"
        )
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
    print(
        f"tried {found.tried:,} of {found.rows:,} rows; rows beyond them were not looked at (weitiao data check)"
    )
    print(f"the full run: about {found.steps:,} steps, {span(found.seconds)} of training without validation")
    print(f"memory: {found.memory_mb:,.0f} MB were held; longer rows than these need more (weitiao plan)")
    print(f"disk: {found.disk_mb:,.0f} MB of checkpoints and model, {found.free_mb:,.0f} MB are free")


def _table(found: list[Equality]) -> None:
    from rich.table import Table

    from weitiao.cli.show import out

    table = Table("", "difference", "may be", "")
    for each in found:
        apart = "-" if each.note else "none" if each.found == 0 else f"{each.found:.1e}"
        verdict = each.note or ("holds" if each.holds else "[bold red]does not hold[/bold red]")
        table.add_row(each.name, apart, "none" if each.bound == 0 else f"{each.bound:.0e}", verdict)
    out.print(table)
