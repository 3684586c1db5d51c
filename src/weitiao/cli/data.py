"""The verbs of `weitiao data`: what there is, what is wrong with it, and how a model sees it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from weitiao.cli.options import Json, Overrides, Quiet, Verbose, Whole, emit, pairs
from weitiao.core.errors import fault
from weitiao.core.files import refuse_unwritable
from weitiao.core.why import because

data_app = typer.Typer(
    cls=Whole, help="Look at data before training.", no_args_is_help=True, rich_markup_mode=None
)


@data_app.command("ls", epilog="Example: weitiao data ls")
def data_ls(json: Json = False, verbose: Verbose = False) -> None:
    """List the embedded data sets."""
    from weitiao.cli.show_shelves import catalogue
    from weitiao.models.assets import catalog

    catalogue(catalog.DATASETS, json=json)


@data_app.command(
    "export",
    epilog="Example: weitiao data export film-reviews -o mine.csv; weitiao data export chats.json --to openai",
)
def data_export(
    name: Annotated[
        str, typer.Argument(help="An embedded data set, by name; with --to a file of yours, too.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write; default: the set's name, in this folder."),
    ] = None,
    to: Annotated[
        str, typer.Option(help="openai: conversations or preferences as OpenAI's fine-tuning takes them.")
    ] = "",
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write an embedded data set as a file of your own, to look at and to change; prints where it lies."""
    from weitiao import api
    from weitiao.terminal.show import Show

    if to not in ("", "openai"):
        raise fault("wrong_usage", **because("no_such_taker", name=to))
    show = Show(quiet=quiet)
    with show:
        write = api.export_rows if to else api.export_data
        print(write(name, output or "", progress=show.fetching))


def _refuse_other_files(page: Path | None) -> None:
    """A page may be written anew, and nothing else written over: `--html reviews.csv` would cost the rows.

    Asked before the rows are looked at, as everything that is written behind them.
    """
    if page:
        if page.is_dir() or (page.exists() and page.suffix.lower() not in (".html", ".htm")):
            raise fault("wrong_usage", **because("page_in_the_way", path=page))
        refuse_unwritable(page)


@data_app.command("check", epilog="Example: weitiao data check reviews.csv --columns text=review,label=stars")
def data_check(
    files: Annotated[list[str], typer.Argument(help="Files, or embedded data sets.")],
    task: Annotated[str, typer.Option(help="Guessed from the columns by default.")] = "",
    columns: Annotated[str, typer.Option(help="Ours=theirs, separated by commas.")] = "",
    format: Annotated[
        str, typer.Option(help="Row format, such as alpaca or conll; guessed by default.")
    ] = "auto",
    encoding: Annotated[str, typer.Option(help="Character encoding.")] = "auto",
    decimal: Annotated[
        str, typer.Option(help="The decimal mark in numbers, point or comma; guessed by default.")
    ] = "",
    validation: Annotated[list[str] | None, typer.Option(help="A file that chooses, given apart.")] = None,
    test: Annotated[list[str] | None, typer.Option(help="A file that judges, given apart.")] = None,
    model: Annotated[str, typer.Option(help="Count lengths in this model's tokens.")] = "",
    labels: Annotated[
        bool, typer.Option("--labels", help="Look for likely wrong labels, too; trains a small classifier.")
    ] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Write a repaired copy beside each file.")] = False,
    fix_with: Annotated[
        str, typer.Option(help="More repairs, separated by commas: html, mojibake, personal.")
    ] = "",
    html: Annotated[Path | None, typer.Option(help="Write the diagnosis as a page, too.")] = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Examine files: bad rows by line, repeats, labels, lengths, languages, personal data ...

    Exit code 3 when rows cannot be used.  Nothing is changed; --fix writes copies.
    """
    from weitiao import api
    from weitiao.cli.show_data import examined, fixed
    from weitiao.terminal.show import Show

    _refuse_other_files(html)
    repairs = [name.strip() for name in fix_with.split(",") if name.strip()]
    show = Show(quiet=json)
    with show:
        found = api.check(
            files,
            task=task,
            columns=pairs(columns),
            format=format,
            encoding=encoding,
            **({"decimal": decimal} if decimal else {}),
            validation=validation or [],
            test=test or [],
            model=model,
            labels=labels,
            repairs=repairs if fix or fix_with else None,
            progress=show.fetching,
        )
    if json:
        emit(found.to_dict())
    else:
        examined(found)
    if html is not None:
        print(found.write_page(html), file=sys.stderr)
    if fix or fix_with:
        copies = found.fix(repairs)
        if not json:
            fixed(copies)
    elif found.bad:
        raise typer.Exit(3)


@data_app.command("show", epilog="Example: weitiao data show recipe.yaml --html rows.html")
def data_show(
    source: Annotated[str, typer.Argument(help="A recipe, a file of rows, or an embedded data set.")],
    overrides: Overrides = None,
    model: Annotated[str, typer.Option(help="Whose tokenizer; the recipe's by default.")] = "",
    task: Annotated[str, typer.Option(help="Guessed from a file's columns by default.")] = "",
    columns: Annotated[str, typer.Option(help="Ours=theirs, separated by commas.")] = "",
    rows: Annotated[int, typer.Option(min=1, help="How many rows.")] = 3,
    line: Annotated[int | None, typer.Option(min=1, help="The row at this line of the file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page to look at instead.")] = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show rows as the model sees them: its tokens, those that are trained in green."""
    from weitiao import api
    from weitiao.cli.show_data import views
    from weitiao.terminal.show import Show

    _refuse_other_files(html)
    show = Show(quiet=json)
    with show:
        found = api.show(
            source,
            model=model,
            task=task,
            rows=rows,
            line=line,
            columns=pairs(columns),
            overrides=overrides or [],
            progress=show.fetching,
        )
    if html is not None:
        from weitiao.core.files import write_text

        write_text(html, found.page())
        print(html)
    elif json:
        emit(found.to_dict())
    else:
        views(found)
