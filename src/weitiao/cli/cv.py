"""The verb `cv`, and how a cross-validation looks in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from weitiao.cli.options import Json, Overrides, Quiet, Verbose
from weitiao.cli.study import Resume, shown
from weitiao.core.display import either
from weitiao.core.why import reason
from weitiao.evaluate.words import named


def cv(
    recipe: Annotated[str, typer.Argument(help="A YAML recipe.")],
    overrides: Overrides = None,
    folds: Annotated[
        int | None, typer.Option(help="How many; default: the recipe's data.split.test_folds, or 5.")
    ] = None,
    resume: Resume = False,
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Cross-validate: train the recipe once a fold, and test every row once, by a model that has not seen it.

    All rows of data.train take part, and no test rows are locked away.  Folds are dealt as data.split says: labels
    evenly, users whole (group_by), or in order of time.  Every fold is an ordinary run in a folder of its own below
    output_dir, trained in a process of its own.  Exit code 5 when a fold has failed; the others are judged all the same,
    and --resume tries it anew.
    """
    from weitiao import api
    from weitiao.terminal.show import Show

    show = Show(quiet=quiet or json)
    with show:
        found = api.cross_validate(
            recipe,
            folds=folds,
            overrides=overrides or [],
            resume=resume,
            tell=show.tell,
            progress=show.fetching,
        )
    shown(found, lambda _: tables(found.results), json=json)


def tables(results: Mapping[str, Any]) -> list[Any]:
    """Every system by the first metric, with its difference to the tuned one; and every metric of the tuned one."""
    if not results["metrics"]:
        return []
    metric = results["metric"]
    systems = _table(reason("over_folds", metric=named(metric), folds=len(results["folds"])), "-", "p")
    for system, own in results["metrics"].items():
        pair = results["comparisons"].get(system, {}).get(metric)
        systems.add_row(*_cells(results, system, system, metric, own[metric]), *_beside(pair))
    own = results["metrics"]["tuned"]
    others = [name for name in own if name != metric]
    metrics = _table(reason("other_metrics"))
    for name in others:
        metrics.add_row(*_cells(results, name, "tuned", name, own[name]))
    return [systems, metrics] if others else [systems]


def _table(title: str, *more: str) -> Any:
    from rich import box
    from rich.table import Table

    drawn = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    drawn.add_column("", overflow="fold", min_width=8)
    beside = either("tuned - it", "微调后减它")
    heads = (("mean", "均值"), ("sd", "标准差"), ("interval", "区间"), ("all rows", "全部行"))
    for head in [*(either(*pair) for pair in heads), *(beside if one == "-" else one for one in more)]:
        drawn.add_column(head, justify="right", no_wrap=True)
    return drawn


def _cells(
    results: Mapping[str, Any], label: str, system: str, metric: str, own: Mapping[str, Any]
) -> list[str]:
    from weitiao.core.figures import figure

    whole = (results["all_rows"] or {"metrics": {}})["metrics"].get(system, {}).get(metric)
    strong = ("[bold]", "[/bold]") if label == "tuned" else ("", "")
    return [
        f"{strong[0]}{named(label)}{strong[1]}",
        figure({"value": own["mean"]}),
        figure({"value": own["sd"]}),
        "-"
        if own["low"] is None
        else either(*(f"{own['low']:.3f}{to}{own['high']:.3f}" for to in (" to ", " 至 "))),
        figure(whole) if whole else "-",
    ]


def _beside(pair: Mapping[str, Any] | None) -> list[str]:
    if not pair or pair["difference"] is None:
        return ["", ""]
    p = pair["p_holm"]
    return [f"{pair['difference']:+.3f}", "-" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"]
