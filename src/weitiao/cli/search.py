"""The verb `search`, and how a search looks in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from json import dumps
from typing import Annotated, Any

import typer

from weitiao.cli.options import Json, Overrides, Quiet, Verbose
from weitiao.cli.study import Resume, shown
from weitiao.core.display import either
from weitiao.core.why import reason
from weitiao.evaluate.words import named, named_goal

SHOWN = 10
"""Trials in the terminal; JSON, CSV and page have all."""


def search(
    recipe: Annotated[str, typer.Argument(help="A YAML recipe, whose own setting is trial 0.")],
    overrides: Overrides = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Settings that are tried (default: search.trials, 20).")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="No trial is begun or gone on with after so many minutes.")
    ] = None,
    how: Annotated[
        str,
        typer.Option(
            help="auto, grid, random, tpe, gp, cmaes, evolution, asha, hyperband, pbt (default: search.how, auto)."
        ),
    ] = "",
    space: Annotated[
        list[str] | None,
        typer.Option(
            "--space",
            help="KEY=LOW..HIGH, with :log or :step=4 behind it, or KEY=A,B,C, or architecture; may be repeated. Default: what suits the method.",
        ),
    ] = None,
    goal: Annotated[
        str, typer.Option(help="score, or several: score,seconds,megabytes,memory,parameters.")
    ] = "",
    workers: Annotated[int, typer.Option(min=1, help="Trials that are trained side by side.")] = 1,
    join: Annotated[
        bool,
        typer.Option(
            "--join", help="RECIPE is the folder of a search that runs elsewhere: train trials for it here."
        ),
    ] = False,
    resume: Resume = False,
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Find better settings: try some, the recipe's own first, and judge the best once on the locked test rows.

    Every trial is an ordinary run in a folder of its own below output_dir, trained in a process of its own, which sees no
    test rows.  A half of the validation rows chooses, the other half says what the winner is worth.  best/ is the winner.
    """
    from weitiao import api
    from weitiao.terminal.show import Show

    show = Show(quiet=quiet or json)
    if join:
        with show:
            count = api.join_search(recipe, tell=show.tell)
        print(dumps({"trained": count}) if json else reason("search_was_joined", count=count))
        return
    with show:
        found = api.search(
            recipe,
            space=space or (),
            how=how,
            trials=trials,
            minutes=minutes,
            goals=[name.strip() for name in goal.split(",") if name.strip()],
            workers=workers,
            overrides=overrides or [],
            resume=resume,
            tell=show.tell,
            progress=show.fetching,
        )
    shown(found, lambda _: [table(found.results)], json=json)


def table(results: Mapping[str, Any]) -> Any:
    """The best trials, and the recipe's own, each with its settings."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from weitiao.evaluate.report.numbers import number
    from weitiao.study.trials import standing

    goals, first = results["goals"], results["goals"][0]
    ended = sorted(
        (row for row in results["trials"] if row["end"] == "complete" and row["goals"]),
        key=lambda row: standing(row, higher=first["higher_is_better"]),
    )
    rows = ended[:SHOWN] + [row for row in ended[SHOWN:] if row["number"] == 0]
    counts = {state: sum(row["state"] == state for row in results["trials"]) for state in STATES}
    told = ", ".join(f"{named(state)} {count}" for state, count in counts.items() if count)
    title = reason("search_trials", how=results["how"], states=told)
    drawn = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False)
    drawn.add_column(either("trial", "试验"), no_wrap=True)
    for goal in goals:
        drawn.add_column(named_goal(goal["name"]), justify="right", no_wrap=True)
    drawn.add_column(either("settings", "设置"), overflow="fold")
    best = (results["winner"] or {}).get("number")
    for row in rows:
        label = f"{row['number']}" + either(" (default)", "（默认）") * (row["number"] == 0)
        strong = ("[bold]", "[/bold]") if row["number"] == best else ("", "")
        settings = "  ".join(f"{key.rpartition('.')[2]}={value}" for key, value in row["values"].items())
        worth = [number(value) for value in row["goals"]]
        drawn.add_row(f"{strong[0]}{label}{strong[1]}", *worth, escape(settings))
    return drawn


STATES = ("complete", "pruned", "repeated", "failed", "waiting", "unfinished", "not begun")
