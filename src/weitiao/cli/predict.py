"""`weitiao predict`: what a run says of texts, of the rows of a file, or of lines of standard input."""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from weitiao.cli.options import Base, Json, Quiet, Verbose, pairs
from weitiao.core.errors import fault
from weitiao.core.why import because, reason


def predict(
    run: Annotated[str, typer.Argument(help="A run folder.")],
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            help="Texts or prompts, or a file of them; without any, or with -, lines of standard input."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            help="A table with a column of texts, prompts or messages, a .txt file, or - for standard input.",
        ),
    ] = None,
    columns: Annotated[
        str, typer.Option(help="OURS=THEIRS: text=body reads the texts from the file's column body.")
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the rows with what is said of them: .csv, .tsv or .jsonl; a folder for pictures that are drawn.",
        ),
    ] = None,
    drawn: Annotated[
        Path | None,
        typer.Option(help="Write each picture with what was found drawn on it into this new folder."),
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, help="Longest answer, where the model answers.")
    ] = 200,
    base: Base = "",
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Label texts, or answer prompts: given as words, in a file, or on standard input, one a line."""
    from weitiao import api
    from weitiao.cli.show import prediction, unanswered
    from weitiao.stages.asking import names_a_file
    from weitiao.stages.drawn_on import refuse_drawing
    from weitiao.stages.labelled import refuse_labelled
    from weitiao.terminal.show import Show

    if texts and file:
        raise fault("wrong_usage", **because("texts_and_file"))
    if output and output.suffix:  # else it may be a folder of pictures, which the run alone knows
        refuse_labelled(output)
    found = api.load(run, base=base)
    if drawn:
        refuse_drawing(drawn, found.task)
    if found.task.paints:
        output = output or Path("drawn")
        api.refuse_drawn(output)
    elif output:
        refuse_labelled(output)
    lines: Any = file if file and str(file) != "-" else _piped() if not texts or texts == ["-"] else texts
    if lines is texts and texts:
        lines = texts[0] if len(texts) == 1 else texts  # a word alone may name a file, as in Python
        pictured = bool(found.task.shape.pictures) and not found.task.paints
        if len(texts) > 1 and not pictured and (named := [word for word in texts if names_a_file(word)]):
            raise fault("wrong_usage", **because("file_among_texts", path=named[0], run=run))
    if not lines:
        raise fault("wrong_usage", **because("no_text", run=run))
    questions = found.asked(lines, pairs(columns))
    if output:
        show = Show(quiet=quiet or json)
        show.heed(found.recipe)
        with show:
            if found.task.paints:
                count, unusable = api.write_drawn(output, found, questions, progress=show.labelling)
            else:
                count, unusable = api.write_labelled(
                    output,
                    found,
                    questions,
                    progress=show.labelling,
                    max_new_tokens=max_new_tokens,
                    drawn=drawn,
                )
        print(reason("wrote_rows", path=output, count=f"{count:,}"), file=sys.stderr)
        unanswered(unusable)
        return
    skipped = []
    asked = replace(questions, skips=True)
    answers = found.answers(asked, max_new_tokens=max_new_tokens)
    if drawn:
        answers = api.drawn_on(drawn, answers, asked, found.task)
    for row, answer in answers:
        said = {ours: row.values.get(theirs) for ours, theirs in questions.read.items()}
        if "unusable" in answer:
            skipped.append((row, answer["unusable"]))
        told = _line({**said, **answer}) if json else prediction(said.values(), answer, task=found.task)
        print(told)
    unanswered(skipped)


def _piped() -> list[str]:
    """All lines of standard input, an empty one too; cut at line feeds alone: texts may hold other separators (U+2028)."""
    from weitiao.data.read import decode

    text, _ = decode(sys.stdin.buffer.read(), Path("standard input"), "auto")
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text.strip() else []


def _line(value: Any) -> str:
    return json_module.dumps(value, ensure_ascii=False)
