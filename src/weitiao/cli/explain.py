"""The verb `explain`, and how an explanation looks in a terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weitiao.cli.options import Base, Json, Verbose, emit, pairs
from weitiao.core.display import either
from weitiao.core.errors import fault
from weitiao.core.why import because, reason

if TYPE_CHECKING:
    from weitiao.evaluate.explain.explanation import ExplainedTarget, Explanation

SHADES = " ░▒▓█"


def explain(
    run: Annotated[str, typer.Argument(help="A run folder.")],
    texts: Annotated[list[str] | None, typer.Argument(help="Texts, prompts or pictures.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="A table with a column of texts, prompts or messages.")
    ] = None,
    columns: Annotated[
        str, typer.Option(help="OURS=THEIRS: text=body reads the texts from the file's column body.")
    ] = "",
    label: Annotated[
        list[str] | None,
        typer.Option(help="Explain this label, or span (its type or words), instead of what is predicted."),
    ] = None,
    output_words: Annotated[
        list[str] | None, typer.Option(help="Explain this word of the answer instead of all of it.")
    ] = None,
    similar: Annotated[
        int, typer.Option(min=0, help="Show so many training rows that the model sees as most alike.")
    ] = 0,
    steps: Annotated[
        int | None,
        typer.Option(min=16, help="Steps of the integral, at most: more make the completeness gap smaller."),
    ] = None,
    attention: Annotated[
        bool, typer.Option("--attention", help="Show where the model looks, too: a picture, no reason.")
    ] = False,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, help="Longest answer, where the model answers.")
    ] = 200,
    errors: Annotated[
        int,
        typer.Option(
            min=0, help="Instead of texts, so many of the test rows that the run's page shows as its worst."
        ),
    ] = 0,
    rows: Annotated[
        int, typer.Option(min=0, help="Instead of texts, so many test rows, drawn by the run's seed.")
    ] = 0,
    html: Annotated[Path | None, typer.Option(help="Write it as a page, in one file.")] = None,
    base: Base = "",
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show which words, or which parts of a picture, a prediction hangs on, checked by leaving them out.

    Green words speak for what was predicted, red ones against it.  Without colours (NO_COLOR, a pipe) numbers stand behind
    the words.  With --errors or --rows what is found is kept in the run (explanations.json) and stands on its page.
    """
    from weitiao import api
    from weitiao.core.files import refuse_unwritable, write_text

    if html is not None:
        if html.exists():
            raise fault("output_exists", path=html)
        refuse_unwritable(html)
    if texts and file:
        raise fault("wrong_usage", **because("texts_and_file"))
    of_run = bool(errors or rows)
    if of_run and (texts or file or columns):
        raise fault("wrong_usage", **because("texts_and_test_rows"))
    if not texts and not file and not of_run:
        raise fault("wrong_usage", **because("no_text_to_explain", run=run))
    said, words = (
        api.load(run, base=base),
        _words(label, output_words, similar, steps, attention, max_new_tokens),
    )
    if of_run:
        found = api.explain_rows(said, errors=errors, rows=rows, **words)
    else:
        found = said.explain(file or texts, columns=pairs(columns), **words)
    if html is not None:
        from weitiao.evaluate.explain.page import page

        write_text(html, page(found))
    if json:
        emit([one.to_dict() for one in found])
        return
    for one in found:
        show(one)
    if of_run and not found:
        print(reason("no_row_to_explain"), file=sys.stderr)
    if of_run:
        print(said.report)


def _words(
    label: list[str] | None,
    output_words: list[str] | None,
    similar: int,
    steps: int | None,
    attention: bool,
    max_new_tokens: int,
) -> dict[str, Any]:
    return {
        "asked": [*(label or []), *(output_words or [])],
        "similar": similar,
        "steps": steps,
        "attention": attention,
        "max_new_tokens": max_new_tokens,
    }


def show(found: Explanation) -> None:
    """Print an explanation."""
    from rich.console import Console

    console = Console(highlight=False)
    if found.image and not found.place:
        console.print(found.image, markup=False, style="dim", soft_wrap=True)
    if found.place:
        true = f"  {either('true', '真实')}: {found.expected}" if found.expected else ""
        console.print(f"{found.place}{true}", markup=False, style="dim", soft_wrap=True)
    coloured = console.is_terminal and not os.environ.get("NO_COLOR")
    for target in found.targets:
        for line in lines(found, target, coloured=coloured):
            console.print(line, soft_wrap=True)
    if found.attention:
        seen = ", ".join(f"{word.text} {word.share:.2f}" for word in found.attention.strongest())
        head = either("attention", "注意力")
        console.print(f"{head}: {seen or '-'}", markup=False, soft_wrap=True)
        console.print(f"! {found.attention.note}", markup=False, soft_wrap=True)
    for row in found.similar:
        label = "" if row.label is None else f"  {row.label}"
        console.print(f"{row.similarity:.3f}{label}  {row.text}  ({row.place})", markup=False, soft_wrap=True)
    for warning in found.warnings:
        console.print(f"! {warning}", markup=False, soft_wrap=True)


def lines(found: Explanation, target: ExplainedTarget, *, coloured: bool) -> list[Any]:
    """One target: what it is, the texts with their words marked, and how far that is to be trusted."""
    from rich.text import Text

    head = Text(f"{target.name}", style="bold")
    masked = either("all words masked", "遮盖全部词")
    if target.heat:
        masked = either("all of one colour", "全图同一颜色")
    head.append(f"  {target.what} {target.value:+.3f}  ({masked} {target.baseline:+.3f})", style="not bold")
    drawn = [head]
    from weitiao.evaluate.explain.page import paragraphs, trust

    for cut in paragraphs(target, found.texts):
        line = Text()
        for part in cut:
            marked = bool(part["sign"])
            line.append(
                part["text"], style=_style(part["share"], part["size"]) if marked and coloured else ""
            )
            if marked and not coloured:
                line.append(f"({part['share']:+.2f})")
        if len(cut) > 1:
            drawn.append(line)
    drawn += [Text(line) for line in shaded(target.heat.shares)] if target.heat else []
    said = trust(found, target)
    return [*drawn, Text(said, style="dim"), *(Text(f"! {warning}") for warning in target.warnings)]


def shaded(shares: list[list[float]]) -> list[str]:
    """A heat map in characters: the darker, the more a part speaks for it; `-` where it speaks against."""
    most = max((abs(share) for row in shares for share in row), default=0.0) or 1.0
    return [
        "".join(2 * (SHADES[round(share / most * (len(SHADES) - 1))] if share >= 0 else "-") for share in row)
        for row in shares
    ]


def _style(share: float, size: float) -> str:
    """Dark letters on a green or red that grows with the size."""
    faint = round(235 - 125 * size)
    return f"black on rgb({faint},235,{faint})" if share > 0 else f"black on rgb(250,{faint},{faint})"
