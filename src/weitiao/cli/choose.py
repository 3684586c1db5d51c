"""The verb `choose`, and how a choice looks in a terminal."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from weitiao.cli.options import Json, Overrides, Quiet, Verbose, emit, pairs, span
from weitiao.core.display import either
from weitiao.core.why import reason
from weitiao.evaluate.words import named


def choose(
    file: Annotated[str, typer.Argument(help="A CSV, TSV, JSON or JSONL file, or an embedded data set.")],
    overrides: Overrides = None,
    task: Annotated[
        str, typer.Option(help="What is to be learnt (weitiao tasks); guessed from the columns by default.")
    ] = "",
    models: Annotated[
        str,
        typer.Option(help="Embedded names, folders, hub ids, separated by commas; default: those that suit."),
    ] = "",
    columns: Annotated[
        str, typer.Option(help="Ours=theirs, separated by commas: text=review,label=stars.")
    ] = "",
    minutes: Annotated[float | None, typer.Option(min=0, help="Minutes that training may take.")] = None,
    memory: Annotated[
        float | None, typer.Option(min=0, help="Megabytes that training may take; default: what is free.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=2, help="So many rows are asked, at most; default: by their kind.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the recipe of the first one here.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the choice as a page, too.")] = None,
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Which base model and method?  Rank them for a file before anything is tuned, say why, and write a recipe.

    Models are probed by what they see in the rows before tuning, beside baselines on the same folds; time and memory are
    forecast.  It says so when fine-tuning is not the answer.  Exit code 6 when nothing fits.
    """
    from weitiao import api
    from weitiao.core.files import refuse_unwritable
    from weitiao.terminal.show import Show

    if output is not None:
        api.refuse_taken(output)
    if html is not None:
        refuse_unwritable(html)
    show = Show(quiet=quiet or json)
    with show:
        found = api.choose(
            file,
            task=task,
            models=[name.strip() for name in models.split(",") if name.strip()],
            columns=pairs(columns),
            overrides=overrides or (),
            minutes=minutes,
            memory_mb=memory,
            rows=rows,
            tell=show.tell,
            progress=show.fetching,
        )
    if json:
        emit(found.to_dict())
    else:
        _print(found.results)
    if html is not None:
        print(found.write_page(html), file=sys.stderr)
    found.refuse_none()
    if output is not None:
        found.write(output)
        print(reason("wrote_recipe", path=output, quoted=shlex.quote(str(output))), file=sys.stderr)


def _print(results: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape

    from weitiao.cli.show import out

    console = Console(highlight=False)
    console.print(_models(results))
    console.print(_candidates(results))
    for one in results["models"]:
        if one["state"] == "failed":
            out.print(
                f"[red]{named('failed')}[/red]  [bold]{escape(one['model'])}[/bold]: {escape(one['why'])}"
            )
        for said in (said for said in one.get("warned", ()) if said not in results["why"]):
            out.print(f"[dim]{escape(said)}[/dim]")
    out.print(f"[bold]{escape(results['sentence'])}[/bold]")
    for said in results["why"]:
        out.print(escape(said))
    for one in results["instead"]:
        out.print(f"[yellow]{escape(one['text'])}[/yellow]")


def _table(*heads: str) -> Any:
    from rich import box
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for place, head in enumerate(heads):
        drawn.add_column(head, justify="left" if place == 0 else "right")
    return drawn


def _models(results: Mapping[str, Any]) -> Any:
    """One line a model, and the baselines below."""
    drawn = _table(
        either("before tuning", "微调之前"),
        named(results["metric"]),
        "LogME",
        either("parameters", "参数"),
        either("unknown", "未知词元"),
        either("cut", "截去"),
    )
    for one in results["models"]:
        if one["state"] != "asked":
            continue
        tokens, size = one["tokens"], one["about"]["parameters"]
        drawn.add_row(
            one["model"],
            _score(one["score"]),
            "-" if one["logme"] is None else f"{one['logme']:.3f}",
            "-" if size is None else f"{size / 1e6:,.0f} M",
            f"{tokens['unknown']:.0%}" if tokens else "-",
            f"{tokens['tokens_cut']:.0%}" if tokens else "-",
        )
    for name, one in results["baselines"].items():
        drawn.add_row(named(name), _score(one["score"]), *["-"] * 4, style="dim")
    return drawn


def _score(score: Mapping[str, Any] | None) -> str:
    if not score or score["mean"] is None:
        return "-"
    around = "" if score["low"] is None else f" {score['low']:.3f}-{score['high']:.3f}"
    return f"{score['mean']:.3f}{around}"


def _candidates(results: Mapping[str, Any]) -> Any:
    """One line a model and method, in order."""
    drawn = _table(
        either("in order", "次序"),
        either("training", "训练"),
        either("memory", "内存"),
        either("fits", "放得下"),
    )
    for one in results["candidates"]:
        known = one["seconds"] is not None
        drawn.add_row(
            f"{one['model']} {one['method']}",
            span(one["seconds"]) if known else "-",
            f"{one['memory'] / 1e6:,.0f} MB" if known else "-",
            either("yes", "是") if one["fits"] else " ".join(one["why"].split())[:80],
        )
    return drawn
