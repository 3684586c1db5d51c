"""The verb `export`, and the table of what was exported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weitiao.cli.options import Base, Json, Quiet, Verbose, emit

if TYPE_CHECKING:
    from weitiao.export.budget import Budget
    from weitiao.export.writing import Exported

Fits = Annotated[
    str, typer.Option("--budget", help="Say which forms fit: 20MB,50ms (size, CPU time a row on one core).")
]


def export(
    run: Annotated[str, typer.Argument(help="A run folder.")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="The form: torch (a plain folder of Transformers), onnx (onnxruntime), gguf (llama.cpp, Ollama), pt2 (torch.export), torchscript (legacy), executorch (phones), peft (the adapter alone).",
        ),
    ],
    dtype: Annotated[
        str,
        typer.Option(
            help="Precision of its weights: fp32 (default), bf16, fp16, int8, int4, as the form has it."
        ),
    ] = "",
    budget: Fits = "",
    push: Annotated[
        str, typer.Option(help="Put what was written on the hub, with the model's card: owner/name.")
    ] = "",
    base: Base = "",
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Write a run's model in the form that its destination wants, once it is seen to answer as the judged one.

    What is written lies in the run's export/: model, tokenizer, a runner of some forty lines that knows no weitiao, what was
    compared (parity.json), and checksums.  A form that answers otherwise is not written.
    """
    from weitiao import api
    from weitiao.export.budget import Budget
    from weitiao.export.writing import siblings
    from weitiao.terminal.show import Show

    most = Budget.read(budget) if budget else None

    show = Show(quiet=quiet or json)
    with show:
        found = api.export(api.load(run, base=base), to, dtype=dtype, push=push, tell=show.tell)
    shown([found], beside=siblings(found), budget=most, json=json)


def shown(
    found: Sequence[Exported], *, beside: Sequence[Exported] = (), budget: Budget | None, json: bool
) -> None:
    """Size, memory, time and score by form, and whether it fits; as JSON all that was compared.

    Args:
        found: what was written, or looked at.
        beside: the run's other forms, whose lines stand below.
        budget: what must not be gone beyond.
        json: for programs.
    """
    if json:
        every: list[dict[str, Any]] = [{"path": str(one.path), **one.parity} for one in found]
        if budget:
            every = [{**told, "fits": budget.fits(told)} for told in every]
        emit(every)
        return
    from rich.console import Console

    from weitiao.cli.show import out
    from weitiao.export.writing import side_by_side

    sheet = side_by_side([*found, *beside], budget=budget)
    out.print(table(sheet))
    Console(stderr=True, highlight=False).print(sheet.foot, markup=False, soft_wrap=True)
    for one in found:
        print(one.path)


def table(sheet: Any) -> Any:
    """A sheet's rows."""
    from rich.table import Table

    made = Table()
    for place, name in enumerate(sheet.head):
        made.add_column(name, justify="right" if place else "left", no_wrap=True)
    for row in sheet.rows:
        made.add_row(*row)
    return made
