"""The verb `compare`, and how a comparison looks in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from weitiao.cli.options import Json, Overrides, Quiet, Verbose
from weitiao.cli.study import Resume, shown
from weitiao.core.display import either
from weitiao.core.figures import around, figure
from weitiao.core.why import reason
from weitiao.evaluate.words import named

ROOMY = 92  # columns of a terminal in which the table can breathe
HEADS = (
    ("trained", "训练参数"),
    ("rate", "学习率"),
    ("seconds", "秒"),
    ("peak MB", "峰值 MB"),
    ("size MB", "大小 MB"),
)


def compare(
    recipe: Annotated[str, typer.Argument(help="A YAML recipe; its method is not looked at.")],
    overrides: Overrides = None,
    resume: Resume = False,
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Train several methods on the same rows and budget, and set scores and costs side by side.

    method=full,lora,lora:r=4:lora_alpha=8 names the methods, each with its settings behind colons; the others are
    compared with the first.  Every method is an ordinary run in a folder of its own below output_dir, trained in a
    process of its own.  Exit code 5 when a method has failed; the others are judged all the same, and --resume tries
    it anew.
    """
    from weitiao import api
    from weitiao.terminal.show import Show

    show = Show(quiet=quiet or json)
    with show:
        found = api.compare(
            recipe, overrides=overrides or [], resume=resume, tell=show.tell, progress=show.fetching
        )
    shown(
        found,
        lambda console: [table(found.results, width=console.width), *without_interval(found.results)],
        json=json,
    )


def table(results: Mapping[str, Any], *, width: int) -> Any:
    """One line a method: score, significance, parameters, seconds, memory, size; narrow enough for 80 columns."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    rows = results["ground"]["rows"].get("test", 0)
    gpu = any(row["peak_gpu_memory_mb"] for row in results["methods"])
    drawn = Table(
        title=reason("locked_rows_for_all", rows=f"{rows:,}") if rows else None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, int(width >= ROOMY), 0, 0),
    )
    drawn.add_column(either("method", "方法"), overflow="fold", min_width=8)
    beside = f"- {results['reference']}" if results["reference"] else ""
    heads = [named(results["metric"]), escape(beside), "p", *(either(*head) for head in HEADS)]
    for head in [*heads, *(["GPU MB"] if gpu else [])]:
        drawn.add_column(head, justify="right", no_wrap=True)
    for row in results["methods"]:
        if row["state"] == "judged":
            drawn.add_row(f"[bold]{escape(row['label'])}[/bold]", *_cells(row, gpu=gpu))
        else:
            colour = "red" if row["state"] == "failed" else "dim"
            drawn.add_row(escape(row["label"]), f"[{colour}]{named(row['state'])}[/{colour}]")
    for system, score in results["others"].items():
        drawn.add_row(f"[dim]{named(system)}[/dim]", _score(score))
    return drawn


def without_interval(results: Mapping[str, Any]) -> list[str]:
    """Why a score has no interval, a line each: in a cell a sentence would take the width from all others."""
    from rich.markup import escape

    judged = {row["label"]: row["score"] for row in results["methods"] if row["state"] == "judged"}
    judged |= {named(system): score for system, score in results["others"].items()}
    told = {label: score.get("why", "") for label, score in judged.items() if score["low"] is None}
    return [f"[dim]{escape(f'{label}: {why}')}[/dim]" for label, why in told.items() if why]


def _cells(row: Mapping[str, Any], *, gpu: bool) -> list[str]:
    beside, seconds = row["beside_first"], row["seconds"]
    whole = f"/{seconds['whole']:.0f}" if seconds["whole"] is not None else ""
    cells = [
        _score(row["score"]),
        "" if not beside or beside["difference"] is None else f"{beside['difference']:+.3f}",
        _p(beside["p_holm"]) if beside else "",
        _count(row["trained"]),
        f"{row['learning_rate']:g}",
        f"{seconds['train']:.{int(seconds['train'] < 10)}f}{whole}",
        _mb(row["peak_memory_mb"]),
        _mb(row["size_bytes"]["weights"] / 1e6),
    ]
    return [*cells, _mb(row["peak_gpu_memory_mb"])] if gpu else cells


def _score(score: Mapping[str, Any]) -> str:
    from rich.markup import escape

    interval = "" if score["low"] is None else f" [dim]{escape(around(score))}[/dim]"
    return figure(score) + interval


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _count(value: int) -> str:
    """22,713,986 as 22.7M; the page and the JSON have every digit."""
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return str(value)


def _mb(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
