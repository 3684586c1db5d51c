"""The verb `plan`: what a run will need of memory and disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from weitiao.cli.options import Json, Overrides, Quiet, Verbose, emit, span
from weitiao.core.errors import fault
from weitiao.core.why import because, reason

if TYPE_CHECKING:
    from weitiao.api import Plan

KINDS = {
    "weights": "weights",
    "master": "master copy",
    "gradients": "gradients",
    "optimizer": "optimiser",
    "activations": "activations",
    "allocator": "allocator",
}
TEXTBOOK = {
    "weights": "weights",
    "gradients": "gradients",
    "master": "master copy",
    "first_moment": "Adam, first moment",
    "second_moment": "Adam, second moment",
}
REFUSED = (
    "weitiao train refuses this run before its first step, and names changes that make it fit, if some do"
)


def plan(
    recipe: Annotated[str, typer.Argument(help="A YAML recipe; none with --params.")] = "",
    overrides: Overrides = None,
    nproc: Annotated[int, typer.Option(min=1, help="Processes on this machine that share the work.")] = 1,
    params: Annotated[
        float | None, typer.Option(help="No recipe: a number of parameters, such as 65e9.")
    ] = None,
    method: Annotated[str, typer.Option(help="With --params: the method (default: full).")] = "",
    trained: Annotated[
        float | None, typer.Option(help="With --params: how many of them train; full trains all.")
    ] = None,
    precision: Annotated[
        str, typer.Option(help="With --params: mixed (half precision beside a master copy; default) or fp32.")
    ] = "",
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Forecast memory and disk of a run, for load, train, evaluate, save and merge, without loading the model.

    Exit code 6 when it would not fit into what is free now.
    """
    from weitiao import api
    from weitiao.terminal.show import Show

    if params is not None:
        if recipe or nproc > 1:
            other = reason("a_recipe") if recipe else "--nproc"
            raise fault("wrong_usage", **because("params_alone", other=other))
        _textbook(params, method=method or "full", trained=trained, precision=precision or "mixed", json=json)
        return
    if not recipe:
        raise fault("wrong_usage", **because("params_or_recipe"))
    if method or precision or trained is not None:
        raise fault("wrong_usage", **because("belong_to_params"))
    show = Show(quiet=quiet or json)
    with show:
        found = api.plan(recipe, overrides=overrides or (), nproc=nproc, progress=show.fetching)
    for text in found.notices:
        show.tell("notice", text=text)
    if json:
        emit(found.to_dict())
    else:
        _table(found)
    if not found.fits:
        raise typer.Exit(6)


def _textbook(params: float, *, method: str, trained: float | None, precision: str, json: bool) -> None:
    from weitiao import api

    book = api.rule_of_thumb(params, method=method, precision=precision, trained=trained)
    if json:
        emit({**book, "total": sum(book.values())})
        return
    _book(book, params=params)
    print("activations come on top, and depend on the rows: weitiao plan RECIPE counts them")
    if precision == "mixed":
        print("weitiao itself keeps gradients of trained weights in float32: 4 bytes each, not 2")


def _book(book: dict[str, float], *, params: float) -> None:
    from rich.table import Table

    from weitiao.cli.show import out

    table = Table("", "GB", "bytes a parameter")
    table.columns[1].justify = table.columns[2].justify = "right"
    for kind, label in TEXTBOOK.items():
        table.add_row(label, _gb(book[kind]), f"{book[kind] / params:.3g}")
    table.add_section()
    total = sum(book.values())
    table.add_row("together", _gb(total), f"{total / params:.3g}")
    out.print(table)


def _gb(size: float) -> str:
    return f"{size / 1e9:,.1f}".removesuffix(".0") if size > 1e10 else f"{size / 1e9:.3g}"


def _table(found: Plan) -> None:
    from rich.table import Table

    from weitiao.cli.show import out

    shown: dict[str, Any] = found.stages
    table = Table("MB", *(stage for stage in shown))
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, label in KINDS.items():
        sizes = [getattr(held, kind) for held in shown.values()]
        if any(sizes):
            table.add_row(label, *(f"{size / 1e6:,.0f}" if size else "-" for size in sizes))
    if any(found.program.values()):
        table.add_row("program", *(f"{found.program[stage] / 1e6:,.0f}" for stage in shown))
    table.add_section()
    table.add_row(
        "together",
        *(f"{(held.total + found.program[stage]) / 1e6:,.0f}" for stage, held in shown.items()),
        style="bold",
    )
    out.print(table)
    batch = found.batch
    print(
        f"looked at {found.rows:,} rows; the heaviest forward pass holds {batch['rows']} of them, "
        f"{batch['tokens']:,} tokens and {batch['padding']:,} of padding"
    )
    print(
        f"time: about {span(found.seconds)} for {found.steps:,} steps of training at this machine's present speed; "
        "validation and judging come on top"
    )
    where = found.device if found.device.startswith("cuda") else "main memory"
    each = f" ({found.processes} processes)" if found.memory != found.peak else ""
    free = "" if found.free is None else f", {found.free / 1e6:,.0f} MB are free"
    print(f"memory ({where}): {found.memory / 1e6:,.0f} MB at most{each}{free}")
    print(
        f"disk: {found.checkpoints} checkpoints of {found.checkpoint / 1e6:,.0f} MB and the model, "
        f"{found.model / 1e6:,.0f} MB: {found.disk / 1e6:,.0f} MB, {found.free_disk / 1e6:,.0f} MB are free"
    )
    if not found.fits:
        print(f"{'disk' if found.disk > found.free_disk else 'memory'} does not suffice: {REFUSED}")
