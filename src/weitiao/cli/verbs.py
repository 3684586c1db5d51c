"""The verbs.  Each parses words, calls `weitiao.api`, and shows what comes back; heavy rooms are imported inside."""

from __future__ import annotations

import copy
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from weitiao.cli.chat import chat
from weitiao.cli.check import check
from weitiao.cli.choose import choose
from weitiao.cli.compare import compare
from weitiao.cli.cv import cv
from weitiao.cli.data import data_app
from weitiao.cli.demo import demo
from weitiao.cli.explain import explain
from weitiao.cli.export import export
from weitiao.cli.launch import launch_app
from weitiao.cli.learning_curve import learning_curve
from weitiao.cli.options import Base, Json, Quiet, Verbose, Whole, emit, pairs, wishes
from weitiao.cli.plan import plan
from weitiao.cli.predict import predict
from weitiao.cli.retrieve import retrieve
from weitiao.cli.search import search
from weitiao.cli.serve import serve
from weitiao.cli.stress import stress
from weitiao.cli.train import train
from weitiao.cli.verify import verify
from weitiao.core.errors import fault
from weitiao.core.why import because, reason

app = typer.Typer(
    name="weitiao",
    help="Fine-tune pretrained models the whole way: check, split, tune, judge, report (微调).",
    epilog="Start with: weitiao demo | weitiao init my.csv -o recipe.yaml; weitiao train recipe.yaml",
    no_args_is_help=True,
    cls=Whole,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_app, name="data")
app.add_typer(launch_app, name="launch")


def _version(asked: bool) -> None:
    if asked:
        from weitiao import __version__

        print(f"weitiao {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: weitiao init reviews.csv -o recipe.yaml")
def init(
    file: Annotated[str, typer.Argument(help="A CSV, TSV, JSON or JSONL file, or an embedded data set.")],
    model: Annotated[
        str, typer.Option(help="Base model; guessed from the language and task by default.")
    ] = "",
    task: Annotated[
        str, typer.Option(help="What is to be learnt (weitiao tasks); guessed from the columns by default.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here instead of printing.")
    ] = None,
    columns: Annotated[
        str, typer.Option(help="Ours=theirs, separated by commas: text=review,label=stars.")
    ] = "",
    verbose: Verbose = False,
) -> None:
    """Write a commented recipe for a file, its columns and task guessed."""
    from weitiao import api
    from weitiao.core.files import refuse_unwritable, write_text

    if output is not None:
        if output.exists():
            raise fault("wrong_usage", **because("output_there", path=output))
        refuse_unwritable(output)
    notices: list[str] = []
    text = api.init(
        file,
        model=model,
        task=task,
        columns=pairs(columns),
        tell=lambda _, **facts: notices.append(facts["text"]),
    )
    if output is None:
        print(text, end="")
    else:
        write_text(output, text)
        print(*notices, sep="\n", end="\n" * bool(notices), file=sys.stderr)
        print(reason("wrote_recipe", path=output, quoted=shlex.quote(str(output))), file=sys.stderr)


app.command(epilog="Example: weitiao choose reviews.csv --minutes 30 -o recipe.yaml")(choose)
app.command(epilog="Example: weitiao train recipe.yaml method.r=8 output_dir=runs/second")(train)
app.command(epilog="Example: weitiao check recipe.yaml --numerics")(check)
app.command(
    epilog="Examples: weitiao plan recipe.yaml | weitiao plan --params 65e9 --method full --precision mixed"
)(plan)
app.command(epilog="Example: weitiao compare recipe.yaml method=full,lora,lora:r=4 output_dir=runs/compared")(
    compare
)
app.command(epilog="Example: weitiao cv recipe.yaml --folds 5 output_dir=runs/reviews-cv")(cv)
app.command(
    epilog="Examples: weitiao search recipe.yaml | weitiao search recipe.yaml --space method=lora,head --trials 30"
)(search)
app.command("learning-curve", epilog="Example: weitiao learning-curve runs/reviews")(learning_curve)
app.command(epilog="Examples: weitiao stress runs/reviews | weitiao stress runs/reviews --group-column shop")(
    stress
)


@app.command(
    epilog="Examples: weitiao evaluate runs/reviews-lora --json | weitiao evaluate runs/reviews-lora --data new.csv"
)
def evaluate(
    run: Annotated[str, typer.Argument(help="A run folder.")],
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data", "-d", help="Judge by this file instead of the locked test rows; may be repeated."
        ),
    ] = None,
    columns: Annotated[
        str,
        typer.Option(help="With --data, OURS=THEIRS: text=body,label=stars, where they are not the run's."),
    ] = "",
    name: Annotated[
        str, typer.Option(help="With --data: the results go into evaluations/NAME; default: the file's name.")
    ] = "",
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="With --data: refuse rows that cannot be used, were seen in training, or have an unknown label.",
        ),
    ] = False,
    variant: Annotated[
        str, typer.Option(help="Another form of the model that lies in the run, such as merged.")
    ] = "",
    base: Base = "",
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Judge a run's model again on its locked test rows, or on other rows, and write the report."""
    from weitiao import api
    from weitiao.cli.show import judged
    from weitiao.terminal.show import Show

    for option, asked in (("--columns", columns), ("--name", name), ("--strict", strict)):
        if asked and not data:
            raise fault("wrong_usage", **because("options_of_data", option=option))
    show = Show(quiet=quiet or json)
    with show:
        found = api.evaluate(
            api.load(run, base=base),
            data or None,
            columns=pairs(columns),
            name=name,
            strict=strict,
            variant=variant,
            tell=show.tell,
        )
    if json:
        emit({"run": str(found.path), **found.results})
    else:
        judged(found)


@app.command(epilog="Examples: weitiao report runs/a --by shop | weitiao report runs/a runs/b")
def report(
    runs: Annotated[list[str], typer.Argument(help="Run folders; several stand side by side on one page.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page of several runs (default: side-by-side.html)."),
    ] = None,
    figures: Annotated[Path | None, typer.Option(help="A folder for every figure, as SVG and PNG.")] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="A column of the rows' files: the score on each of its values; may be repeated."),
    ] = None,
    wished: Annotated[
        list[str] | None,
        typer.Option(help="A threshold for precision=0.95 or recall=0.9; may be repeated."),
    ] = None,
    curve: Annotated[bool, typer.Option("--learning-curve", hidden=True)] = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Write the page of a judged run anew, or of several runs side by side; prints where it lies."""
    from weitiao import api
    from weitiao.cli.show import analysed
    from weitiao.core.files import refuse_unwritable

    if curve:
        raise fault("wrong_usage", **because("curve_is_a_verb", run=shlex.quote(runs[0])))
    if output and len(runs) == 1:
        raise fault("wrong_usage", **because("output_of_one", run=runs[0]))
    for place in filter(None, (output, figures)):
        refuse_unwritable(place)
    page = api.report(*runs, output=output, figures=figures, by=by or (), wished=wishes(wished or ()))
    found = api.load(runs[0]).analysis if len(runs) == 1 else {}
    if json:
        emit({"page": str(page), **found})
    else:
        analysed(found)
        print(page)


app.command(
    epilog='Examples: weitiao predict runs/demo "A wonderful film." | weitiao predict runs/demo --file new.csv --output labelled.csv'
)(predict)

app.command(epilog='Example: weitiao explain runs/demo "A dull film with a wonderful ending."')(explain)


app.command(epilog="Example: weitiao export runs/reviews-lora --to onnx")(export)
app.command(epilog="Example: weitiao verify runs/reviews-lora")(verify)


@app.command(epilog="Example: weitiao merge runs/reviews-lora -o merged")
def merge(
    run: Annotated[str, typer.Argument(help="A run folder whose method folds (lora, adalora, ia3 ...).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new folder for the plain model.")],
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16 or float16; default: what the base is stored in.")
    ] = "",
    base: Base = "",
    verbose: Verbose = False,
) -> None:
    """Fold the tuned change into the base's weights: a plain model that needs neither weitiao nor PEFT."""
    from weitiao import api

    print(api.load(run, base=base).merge(output, dtype=dtype or None))


app.command(epilog='Example: weitiao retrieve runs/faq "I forgot my password" --in faq.csv --column answer')(
    retrieve
)
app.command(epilog="Examples: weitiao chat runs/demo-chat | weitiao chat smollm2-135m")(chat)
app.command(epilog="Examples: weitiao serve runs/reviews | weitiao serve faq=runs/faq runs/chat --port 9000")(
    serve
)
app.command(epilog="Examples: weitiao demo | weitiao demo zh | weitiao demo chat --full")(demo)


@app.command(epilog="Example: weitiao fetch minilm-l6 film-reviews")
def fetch(
    names: Annotated[list[str], typer.Argument(help="Embedded models and data sets, by name.")],
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Fetch embedded models and data now, to work without a network later; prints where they lie."""
    from weitiao import api
    from weitiao.terminal.show import Show

    show = Show(quiet=quiet)
    with show:
        for name in names:
            api.fetchable(name)  # of several, none is fetched before all are known
        for name in names:
            path = api.fetch(name, progress=show.fetching)
            print(path)


@app.command(epilog="Example: weitiao models --json")
def models(json: Json = False, verbose: Verbose = False) -> None:
    """List the embedded models: what they are good for, size, licence, origin."""
    from weitiao.cli.show_shelves import catalogue
    from weitiao.models.assets import catalog

    catalogue(catalog.MODELS, json=json)


@app.command(epilog="Examples: weitiao methods | weitiao methods lora | weitiao methods --json")
def methods(
    name: Annotated[str, typer.Argument(help="One method, to see all that is known of it.")] = "",
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """List the tuning methods, or show one: what trains, share, memory, when to use it, its settings."""
    from weitiao.api import methods as known
    from weitiao.cli import show_methods

    if json:
        emit(known.facts(name) if name else known.shelf())
    elif name:
        show_methods.method(name)
    else:
        show_methods.overview()


@app.command(epilog="Examples: weitiao tasks | weitiao tasks text_classification")
def tasks(
    name: Annotated[str, typer.Argument(help="One of them, to see all that is known of it.")] = "",
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """List the tasks, or show one: its row formats, columns and settings."""
    from weitiao.cli.show_shelves import shelf

    shelf("task", name, json=json)


@app.command(epilog="Examples: weitiao metrics | weitiao metrics f1")
def metrics(
    name: Annotated[str, typer.Argument(help="One of them, to see all that is known of it.")] = "",
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """List the metrics that answers are judged by (evaluate.metrics), or show one with its settings."""
    from weitiao.cli.show_shelves import shelf

    shelf("metric", name, json=json)


@app.command(epilog="Examples: weitiao augmentations | weitiao augmentations synonyms")
def augmentations(
    name: Annotated[str, typer.Argument(help="One of them, to see all that is known of it.")] = "",
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """List the ways to make more training rows (data.augment), or show one with its settings."""
    from weitiao.cli.show_shelves import shelf

    shelf("augmentation", name, json=json)


@app.command(epilog="Example: weitiao schema > recipe.schema.json")
def schema(verbose: Verbose = False) -> None:
    """Print the JSON schema of a recipe, for editors that complete and check."""
    from weitiao import api

    emit(api.schema())


@app.command(epilog="Example: weitiao doctor --json")
def doctor(json: Json = False, verbose: Verbose = False) -> None:
    """Say what is installed and what the machine has; exit code 6 when something is broken."""
    from weitiao.cli.doctor import examine, show

    findings = examine()
    if json:
        emit(findings)
    else:
        show(findings)
    if findings["broken"]:
        raise typer.Exit(6)


@app.command(epilog="Examples: weitiao runs | weitiao runs --sort f1")
def runs(
    folder: Annotated[str, typer.Option(help="Where run folders lie.")] = "runs",
    sort: Annotated[str, typer.Option(help="A metric: the best run first.", metavar="METRIC")] = "",
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """List runs: state, model, method, score; the newest first, or the best by a metric."""
    from weitiao import api
    from weitiao.cli.show import run_table

    run_table(api.runs(folder), sort=sort, json=json)


def asked(words: Sequence[str]) -> typer.Typer:
    """The verb that the first word names, alone: to make all of them takes as long as many a verb; all, where it names none."""
    verb = words[0] if words else ""
    alone = copy.copy(app)
    alone.registered_groups = [one for one in app.registered_groups if one.name == verb]
    alone.registered_commands = [
        one for one in app.registered_commands if verb in (one.name, getattr(one.callback, "__name__", ""))
    ]
    return alone if alone.registered_groups or alone.registered_commands else app
