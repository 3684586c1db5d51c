"""The verb `retrieve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weitiao.cli.options import Base, Json, Verbose, emit


def retrieve(
    run: Annotated[str, typer.Argument(help="A run folder whose model turns texts into vectors.")],
    questions: Annotated[list[str], typer.Argument(help="What is looked for.")],
    passages: Annotated[
        Path | None,
        typer.Option("--in", "-i", help="A table of passages; default: those of the run's own rows."),
    ] = None,
    column: Annotated[
        str, typer.Option(help="Its column of passages; default: positive, passage, answer or text.")
    ] = "",
    count: Annotated[int, typer.Option("--count", "-k", min=1, help="So many passages for each.")] = 5,
    base: Base = "",
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Find the passages that are nearest to what is asked, by the vectors of a tuned model."""
    from dataclasses import asdict

    from weitiao import api

    said = api.load(run, base=base)
    found = api.retrieve(said, questions, passages, column=column, k=count)
    if json:
        emit(
            [
                {"question": q, "found": [asdict(one) for one in ones]}
                for q, ones in zip(questions, found, strict=True)
            ]
        )
        return
    for question, ones in zip(questions, found, strict=True):
        if len(questions) > 1:
            print(question)
        for one in ones:
            print(f"{one.score:.3f}\t{' '.join(one.passage.split())}")
