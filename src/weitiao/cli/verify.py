"""The verb `verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from weitiao.cli.export import Fits, shown
from weitiao.cli.options import Base, Json, Quiet, Verbose


def verify(
    run: Annotated[str, typer.Argument(help="A run folder with something in its export/.")],
    budget: Fits = "",
    base: Base = "",
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Compare everything under a run's export/ with its model again, and check the files of both."""
    from weitiao import api
    from weitiao.export.budget import Budget
    from weitiao.terminal.show import Show

    most = Budget.read(budget) if budget else None
    show = Show(quiet=quiet or json)
    with show:
        found = api.verify(api.load(run, base=base), tell=show.tell)
    shown(found, budget=most, json=json)
