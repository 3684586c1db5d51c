"""The verb `learning-curve`, and how a learning curve looks in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from weitiao.cli.options import Json, Quiet, Verbose
from weitiao.cli.study import Resume, shown
from weitiao.core.display import either
from weitiao.evaluate.words import named


def learning_curve(
    run: Annotated[str, typer.Argument(help="The folder of a judged run.")],
    resume: Resume = False,
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Is more data worth it?  Train a run again on 1/8, 1/4 and 1/2 of its training rows, and say what the last doubling
    brought.

    The run itself is the last point, and is not trained again.  What is said goes by the validation rows; scores on the
    test rows stand beside.  Each training is an ordinary run below RUN/learning-curve, in a process of its own.  Exit code 5
    when one has failed; --resume tries it anew.
    """
    from weitiao import api
    from weitiao.terminal.show import Show

    show = Show(quiet=quiet or json)
    with show:
        found = api.learning_curve(run, resume=resume, tell=show.tell, progress=show.fetching)
    shown(found, lambda _: [table(found.results)], json=json)


def table(results: Mapping[str, Any]) -> Any:
    """One line a point: training rows, and its score on the validation and on the test rows."""
    from rich import box
    from rich.table import Table

    from weitiao.core.figures import around, figure

    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    metric = named(results["metric"])
    heads = ("", either("rows", "训练行"), f"{metric}, {named('validation')}", named("test"))
    for head in heads:
        drawn.add_column(head, justify="right", no_wrap=True)
    for row in results["points"]:
        cells = [
            f"{figure(score)} [dim]{around(score)}[/dim]" if score else named(row["state"])
            for score in (row["validation"], row["test"])
        ]
        drawn.add_row(row["label"], f"{row['rows']:,}", *cells)
    return drawn
