"""The verb `chat`: to talk to a model."""

from __future__ import annotations

from typing import Annotated

import typer

from weitiao.cli.options import Base, Verbose


def chat(
    model: Annotated[
        str, typer.Argument(help="A run folder, or a base model (embedded name, folder, hub id).")
    ],
    system: Annotated[str, typer.Option(help="A system message.")] = "",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 200,
    sample: Annotated[
        bool, typer.Option("--sample", help="Draw words instead of taking the likeliest.")
    ] = False,
    temperature: Annotated[float, typer.Option(min=0.01, help="With --sample: lower is more certain.")] = 0.7,
    top_k: Annotated[int, typer.Option(min=1, help="With --sample: of the likeliest words so many.")] = 50,
    top_p: Annotated[
        float,
        typer.Option(
            min=0.01, max=1.0, help="With --sample: the likeliest words that together have this probability."
        ),
    ] = 1.0,
    seed: Annotated[
        int | None, typer.Option(help="With --sample: the same seed draws the same words.")
    ] = None,
    base: Base = "",
    verbose: Verbose = False,
) -> None:
    """Talk to a tuned or an embedded language model; an empty line or Ctrl-D ends it."""
    from weitiao import api
    from weitiao.cli.show import conversation

    conversation(
        api.speaker(model, base=base),
        system=system,
        max_new_tokens=max_new_tokens,
        sample=sample,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
    )
