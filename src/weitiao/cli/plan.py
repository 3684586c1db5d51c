"""The verb `plan`: what a run will need of memory and disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from weitiao.cli.options import Json, Overrides, Quiet, Verbose, emit, span
from weitiao.core.display import either
from weitiao.core.errors import fault
from weitiao.core.why import because, reason

if TYPE_CHECKING:
    from weitiao.api import Plan

KINDS = {
    "weights": ("weights", "权重"),
    "master": ("master copy", "主副本"),
    "others": ("other models", "其他模型"),
    "gradients": ("gradients", "梯度"),
    "optimizer": ("optimiser", "优化器"),
    "activations": ("activations", "激活值"),
    "allocator": ("allocator", "分配器"),
}
TEXTBOOK = {
    "weights": ("weights", "权重"),
    "gradients": ("gradients", "梯度"),
    "master": ("master copy", "主副本"),
    "first_moment": ("Adam, first moment", "Adam 一阶矩"),
    "second_moment": ("Adam, second moment", "Adam 二阶矩"),
}
STAGES = {
    "load": "载入",
    "reference": "参考",
    "rollout": "采样",
    "train": "训练",
    "evaluate": "评估",
    "save": "保存",
    "merge": "合并",
}


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
    print(reason("activations_on_top"))
    if precision == "mixed":
        print(reason("gradients_in_float32"))


def _book(book: dict[str, float], *, params: float) -> None:
    from rich.table import Table

    from weitiao.cli.show import out

    table = Table("", "GB", reason("bytes_a_parameter"))
    table.columns[1].justify = table.columns[2].justify = "right"
    for kind, label in TEXTBOOK.items():
        table.add_row(either(*label), _gb(book[kind]), f"{book[kind] / params:.3g}")
    table.add_section()
    total = sum(book.values())
    table.add_row(either("together", "合计"), _gb(total), f"{total / params:.3g}")
    out.print(table)


def _gb(size: float) -> str:
    return f"{size / 1e9:,.1f}".removesuffix(".0") if size > 1e10 else f"{size / 1e9:.3g}"


def _table(found: Plan) -> None:
    from rich.table import Table

    from weitiao.cli.show import out

    shown: dict[str, Any] = found.stages
    table = Table("MB", *(either(stage, STAGES.get(stage, stage)) for stage in shown))
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, label in KINDS.items():
        sizes = [getattr(held, kind) for held in shown.values()]
        if any(sizes):
            table.add_row(either(*label), *(f"{size / 1e6:,.0f}" if size else "-" for size in sizes))
    if any(found.program.values()):
        table.add_row(either("program", "程序"), *(f"{found.program[stage] / 1e6:,.0f}" for stage in shown))
    table.add_section()
    table.add_row(
        either("together", "合计"),
        *(f"{(held.total + found.program[stage]) / 1e6:,.0f}" for stage, held in shown.items()),
        style="bold",
    )
    out.print(table)
    batch = found.batch
    held, tokens, padding = (f"{batch[key]:,}" for key in ("rows", "tokens", "padding"))
    print(reason("looked_at", rows=f"{found.rows:,}", held=held, tokens=tokens, padding=padding))
    print(reason("time_about", time=span(found.seconds), steps=f"{found.steps:,}"))
    where = found.device if found.device.startswith("cuda") else reason("main_memory")
    each = reason("in_processes", count=found.processes) if found.memory != found.peak else ""
    free = "" if found.free is None else reason("megabytes_free", free=_mb(found.free))
    print(reason("memory_at_most", where=where, size=_mb(found.memory), each=each, free=free))
    disk = {"checkpoint": _mb(found.checkpoint), "model": _mb(found.model), "disk": _mb(found.disk)}
    free = reason("megabytes_free", free=_mb(found.free_disk))
    print(reason("disk_at_most", count=found.checkpoints, **disk, free=free))
    if not found.fits:
        what = either("disk", "磁盘") if found.disk > found.free_disk else either("memory", "内存")
        print(reason("does_not_suffice", what=what))


def _mb(size: float) -> str:
    return f"{size / 1e6:,.0f}"
