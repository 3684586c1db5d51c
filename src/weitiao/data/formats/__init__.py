"""The shapes rows come in  ->  the columns a task reads.

{"instruction": ..., "input": ..., "output": ...}  ->  {"messages": [user, assistant]}
{"评论": ..., "标签": 1} with columns {text: 评论, label: 标签}  ->  {"text": ..., "label": "1"}
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from weitiao.core.contracts import Record, Shape
from weitiao.core.display import either
from weitiao.core.errors import WeitiaoError, did_you_mean, fault, nearest
from weitiao.core.why import because, reason
from weitiao.data.formats import (
    answers,
    boxed,
    captions,
    languages,
    masked,
    pairs,
    preferences,
    prompts,
    ranked,
)
from weitiao.data.formats import convert as rows
from weitiao.data.formats.columns import KNOWN_AS, NUMBERED, halves, numbered, there, value
from weitiao.data.formats.convert import ROLES, Unusable, as_label
from weitiao.data.formats.numbers import Decimal, as_number, measured
from weitiao.data.formats.pictured import home, seen, seen_turns
from weitiao.data.formats.ranked import as_list
from weitiao.data.formats.turned import IMAGES
from weitiao.data.formats.ways import READ_AS, format_of
from weitiao.data.pictures.legend import Legend
from weitiao.data.shapes import SHAPES, Unpaired

__all__ = [
    "FORMATS",
    "KNOWN_AS",
    "NUMBERED",
    "READ_AS",
    "ROLES",
    "Format",
    "Unusable",
    "as_label",
    "convert",
    "guess",
    "guess_column",
    "numbered",
    "there",
    "value",
]

LIKED = {"label", "kto_tag"}
"""Columns that say whether an answer was liked."""
SEEMS = 20
"""Characters of a cell, on average, in a column that seems to hold texts."""


@dataclass(frozen=True)
class Format:
    """A row format: the columns it needs, those it may have, and the way to its shape's columns."""

    needs: tuple[str, ...]
    may_have: tuple[str, ...]
    convert: Callable[[Mapping[str, Any], list[str]], dict[str, Any]]
    number: str = ""
    """The column that holds a number."""
    keeps: bool = False
    """Does a row keep the columns that are not named here?"""
    guessed: bool = True
    """May a file be taken for one by its columns alone, where nobody has said what it is for?"""
    picture: str = ""
    """The column that says where a picture lies."""
    masked: bool = False
    """Are there masks, whose values stand for something (`masked.legend_of`)?"""


FORMATS = {
    "messages": Format(("messages",), ("tools", IMAGES), rows.messages),
    "sharegpt": Format(("conversations",), ("system", "tools", IMAGES), rows.sharegpt),
    "alpaca": Format(("instruction", "output"), ("input", "system", "history", IMAGES), rows.alpaca),
    "prompt_completion": Format(("prompt", "completion"), ("tools", IMAGES), rows.prompt_completion),
    "preference": Format(
        ("chosen", "rejected"),
        (
            "prompt",
            "conversations",
            "instruction",
            "input",
            "system",
            "history",
            "margin",
            "chosen_score",
            "rejected_score",
        ),
        preferences.preference,
    ),
    "ultrafeedback": Format(("instruction", "completions"), ("input", "system"), preferences.ultrafeedback),
    "kto": Format(("prompt", "completion", "label"), (), preferences.kto),
    "kto_messages": Format(("messages", "label"), (), preferences.kto_messages),
    "kto_sharegpt": Format(("conversations", "kto_tag"), ("system",), preferences.kto_sharegpt),
    "kto_alpaca": Format(
        ("instruction", "output", "kto_tag"), ("input", "system", "history"), preferences.kto_alpaca
    ),
    "prompt_only": Format(("prompt",), (), prompts.prompt_only, keeps=True, guessed=False),
    "prompt_messages": Format(("messages",), (), prompts.prompt_messages, keeps=True, guessed=False),
    "prompt_sharegpt": Format(
        ("conversations",), ("system",), prompts.prompt_sharegpt, keeps=True, guessed=False
    ),
    "prompt_alpaca": Format(
        ("instruction",),
        ("input", "system", "history"),
        prompts.prompt_alpaca,
        keeps=True,
        guessed=False,
    ),
    "tags": Format(("tokens", "tags"), (), rows.tags),
    "source_target": Format(("source", "target"), (), rows.source_target),
    "image": Format(("image", "label"), (), rows.image, picture="image"),
    "captioned": Format(("image", "text"), (), captions.captioned, guessed=False, picture="image"),
    "class_picture": Format(("image", "label"), (), captions.class_picture, guessed=False, picture="image"),
    "objects": Format(("image", "objects"), ("size",), boxed.objects, picture="image"),
    "mask": Format(("image", "mask"), (), masked.mask, picture="image", masked=True),
    "outlines": Format(
        ("image", "objects"), ("size",), masked.outlines, picture="image", masked=True, guessed=False
    ),
    "squad": Format(("question", "context", "answers"), ("is_impossible",), answers.squad),
    "squad_table": Format(
        ("question", "context", "answer"), ("answer_start", "is_impossible"), answers.squad_table
    ),
    "table": Format(("text", "label"), ("text_pair",), rows.table),
    "multi_label": Format(("text", "labels"), ("text_pair",), rows.multi_label),
    "regression": Format(("text", "label"), ("text_pair",), rows.regression, number="label", guessed=False),
    "text": Format(("text",), (), rows.text),
    "pairs": Format(("anchor", "positive"), ("negative",), pairs.pairs),
    "query_passage": Format(("query", "passage"), ("negative",), pairs.query_passage),
    "question_answer": Format(("question", "answer"), ("negative",), pairs.question_answer, guessed=False),
    "query_passage_label": Format(
        ("query", "passage", "label"), (), ranked.query_passage_label, number="label"
    ),
    "query_passages": Format(("query", "passages", "labels"), (), ranked.query_passages),
    "query_positives": Format(("query", "positives"), ("negatives",), ranked.query_positives),
    # Without a task these are pairs: a model that turns texts into vectors is the smaller thing to try.
    "query_positive": Format(("query", "positive"), ("negative",), ranked.query_positive, guessed=False),
    "scored_pairs": Format(("sentence1", "sentence2", "score"), (), pairs.scored_pairs, number="score"),
}


def recognise(
    path: str, found: Sequence[str], *, known: Sequence[str], asked: str, columns: Mapping[str, str]
) -> str:
    """The name of the format whose columns are there, among those `known` to the shape.

    Args:
        path: the file, for errors.
        found: its columns.
        asked: `data.format`; `auto` takes the first that fits.
        columns: `data.columns`, ours -> the file's.

    Raises:
        WeitiaoError: `missing_column` (with the nearest name), `unknown_row_format`, `unknown_key`, `wrong_usage`.
    """
    _refuse_wrong_names(path, found, known=known, columns=columns)
    asked = format_of(asked, known)
    if asked != "auto" and asked not in known:
        raise fault("wrong_usage", **because("format_unfit", format=asked, known=", ".join(known)))
    have = set(found) | set(columns)
    candidates = known if asked == "auto" else [asked]
    for name in candidates:
        if have >= set(FORMATS[name].needs):
            return name
    if len(candidates) > 1:
        raise unknown(path, found, known=known)
    missing = next(column for column in FORMATS[candidates[0]].needs if column not in have)
    several = missing == "label" and have >= set(FORMATS["multi_label"].needs)
    told = f" {reason('labels_are_several')}" if several else hint(missing, found)
    raise fault("missing_column", path=path, column=missing, found=", ".join(found), hint=told)


def unknown(
    path: str,
    found: Sequence[str],
    rows: Sequence[Mapping[str, Any]] = (),
    *,
    known: Sequence[str] | None = None,
) -> WeitiaoError:
    """Columns that are those of no format: which names are known, and in which column the texts seem to stand.

    Args:
        path: the file.
        found: its columns.
        rows: the first of its rows, where they are at hand.
        known: formats that would do; default: all that a file is taken for by its columns.
    """
    lengths = {name: sum(len(str(row.get(name) or "")) for row in rows) for name in found}
    longest = max(found, key=lambda name: lengths[name], default="")
    like = guess_column("label", found, near=False)
    named = f"text={longest}" + (f",label={like or 'COLUMN'}" if like not in ("label", longest) else "")
    names = _would_do(known)
    # A text and what it is labelled with, unless the task reads something else.
    asked = next(
        (FORMATS[name].needs for name in names if "text" not in FORMATS[name].needs), ("text", "label")
    )
    asked = ("text", "label") if any("text" in FORMATS[name].needs for name in names) else asked
    seems = asked[0] == "text" and lengths.get(longest, 0) >= SEEMS * max(1, len(rows))
    said = f" {reason('texts_seem_in', longest=longest, options=shlex.quote(named))}" if seems else ""
    also = {ours: ", ".join(KNOWN_AS.get(ours, ())) for ours in asked}
    also_known = reason(
        "also_known_as",
        columns=either("; ", "；").join(f"{ours}: {names}" for ours, names in also.items() if names),
    )
    if known is not None:
        called = (_called(name, found, columns={}, near=False) for name in known)
        if named_so := next(filter(None, called), None):
            said = f" {reason('columns_called', columns=', '.join(f'{ours}: {theirs}' for ours, theirs in named_so.items()))}"
    needs = either(", or ", "，或 ").join(dict.fromkeys(_listed(FORMATS[name].needs) for name in names))
    found_there = ", ".join(found)
    words = ",".join(f"{ours}=COLUMN" for ours in asked)
    return fault(
        "unknown_row_format",
        path=path,
        found=found_there,
        seems=said,
        needs=needs,
        first=asked[0],
        words=words,
        also=also_known if any(also.values()) else "",
    )


def _would_do(known: Sequence[str] | None) -> Sequence[str]:
    """Formats that are known to do; without that, all that a file is taken for by its columns."""
    return [name for name, form in FORMATS.items() if form.guessed] if known is None else known


def _listed(columns: Sequence[str]) -> str:
    """`a`, `b` and `c`."""
    *others, last = (f"`{column}`" for column in columns)
    return either(" and ", " 与 ").join(filter(None, (either(", ", "、").join(others), last)))


def _refuse_wrong_names(
    path: str, found: Sequence[str], *, known: Sequence[str], columns: Mapping[str, str]
) -> None:
    for ours, theirs in columns.items():
        if not there(theirs, found):
            near = did_you_mean(theirs, found)
            # The way out of `missing_column` would be to name the name that was wrong.
            raise fault(
                "no_such_column",
                path=path,
                column=theirs,
                found=", ".join(found),
                key=f"data.columns.{ours}",
                hint=near,
            )
        forms = [FORMATS[name] for name in known]
        if not any(form.keeps or ours in form.needs + form.may_have for form in forms):
            names = sorted({c for name in known for c in FORMATS[name].needs + FORMATS[name].may_have})
            near = did_you_mean(ours, names)
            raise fault("unknown_key", key=f"data.columns.{ours}", hint=near, known=", ".join(names))


def guess(
    found: Sequence[str],
    *,
    columns: Mapping[str, str],
    asked: str = "auto",
    rows: Sequence[Mapping[str, Any]] = (),
    known: Sequence[str] | None = None,
) -> tuple[Shape, str, dict[str, str]] | None:
    """What a file's columns suggest: its shape, its format, and `data.columns`; None when they say nothing.

    Columns that bear our names count before those that people call otherwise, and a format that explains more columns before
    one that explains fewer; labels that are lists in the first `rows` mean several labels, a fraction or a currency numbers.

    Args:
        found: the file's columns.
        columns: what they are known to be.
        asked: the format, where it is known.
        rows: the first of the file.
        known: formats that would do; default: all that a file is taken for by its columns.
    """
    asked = format_of(asked, known or FORMATS)
    shapes = {name: shape for shape in SHAPES for name in shape.formats}
    names = sorted(FORMATS, key=lambda name: -len(FORMATS[name].needs))
    guessed = _would_do(known)
    names = [name for name in names if asked == name or (asked == "auto" and name in guessed)]
    columns = {**halves(found, rows), **columns}
    have = {*found, *columns}

    def such(name: str, columns: Mapping[str, str]) -> tuple[Shape, str, dict[str, str]]:
        labels = [row.get(columns.get("label", "label")) for row in rows]
        if name == "table" and known is None and measured(labels):
            name = "regression"
        elif name == "table" and known is None and labels and isinstance(labels[0], list):
            name, columns = "multi_label", {**columns, "labels": columns.get("label", "label")}
        return shapes[name], name, dict(columns)

    # Many a column is called something like our label; few say whether an answer was liked.
    called = [name for name in names if not isinstance(shapes[name], Unpaired) or have & LIKED]
    for name in names:
        if have >= (needs := set(FORMATS[name].needs)):
            # A text beside its `sentiment` is more than a text.
            for wider in (other for other in called if set(FORMATS[other].needs) > needs):
                if named := _called(wider, found, columns=columns, near=False):
                    return such(wider, {**columns, **named})
            return such(name, {**columns, **_besides(name, found, columns, taken=needs)})
    # Names that people use count before those that may be mistyped: a `message` is a text, and not `messages`.
    for near, name in product((False, True), called):
        if (named := _called(name, found, columns=columns, near=near)) is not None:
            return such(name, {**columns, **named})
    return None


def _called(
    name: str, found: Sequence[str], *, columns: Mapping[str, str], near: bool
) -> dict[str, str] | None:
    """What a format's columns are called in a file, where that is otherwise; None where one of them is not there."""
    needed = {ours: columns.get(ours) or guess_column(ours, found, near=near) for ours in FORMATS[name].needs}
    if not all(needed.values()) or len(set(needed.values())) < len(needed):
        return None
    named = {ours: theirs for ours, theirs in needed.items() if ours != theirs}
    return {**named, **_besides(name, found, columns, taken={*needed.values()})}


def _besides(
    name: str, found: Sequence[str], columns: Mapping[str, str], *, taken: Collection[str]
) -> dict[str, str]:
    """What the columns that a format may have are called in a file, where that is otherwise."""
    named: dict[str, str] = {}
    for ours in FORMATS[name].may_have:
        free = (theirs for theirs in KNOWN_AS.get(ours, ()) if theirs in found and theirs not in taken)
        if ours not in {*found, *columns} and (theirs := next(free, None)):
            named[ours] = theirs
    return named


def guess_column(ours: str, found: Sequence[str], *, near: bool = True) -> str:
    """The column of a file that probably is our `ours`; empty when none looks like it.

    Args:
        ours: our name.
        found: the file's.
        near: a mistyped one counts too.
    """
    lower = {name.lower(): name for name in found}
    for name in (ours, *KNOWN_AS.get(ours, ())):
        if name in lower:
            return lower[name]
    if named := languages.sides(found).get(ours):
        return named
    return nearest(ours, found) if near else ""


def hint(column: str, found: Sequence[str]) -> str:
    """` Did you mean "x"?` for a column that is not there, by what people call it, or nothing."""
    near = guess_column(column, found)
    return f' Did you mean "{near}"?' if near else ""


def convert(
    record: Record,
    *,
    format: str,
    columns: Mapping[str, str],
    decimal: Decimal = "point",
    pictures: str = "",
    legend: Legend | None = None,
    repairs: list[str] | None = None,
) -> Record:
    """The record in its shape's columns; `repairs` hears what was put right, `decimal` is the mark in numbers, `pictures` the
    folder that pictures lie below where that is not the file's own, `legend` what
    the values of masks stand for.

    Raises:
        Unusable: when the row does not hold what the format needs.
    """
    shape, heard = FORMATS[format], [] if repairs is None else repairs
    row = {ours: value(record.values, columns.get(ours, ours)) for ours in shape.needs + shape.may_have}
    for ours in set(NUMBERED).intersection(shape.may_have):
        if several := numbered(ours, record.values, columns):
            row[ours] = [*as_list(row[ours], ours), *(record.values[name] for name in several)]
    if shape.keeps:
        called = {theirs: ours for ours, theirs in columns.items()}
        others = {called.get(name, name): each for name, each in record.values.items()}
        row[prompts.OTHERS] = {name: each for name, each in others.items() if name not in shape.needs}
    root = pictures or home(record.file)
    if shape.picture:
        row |= seen(row[shape.picture], home=root, column=shape.picture, repairs=heard)
        row |= {masked.HOME: root, masked.LEGEND: legend or Legend()}
    if shape.number:
        row[shape.number] = as_number(row[shape.number], decimal)
    values = seen_turns(shape.convert(row, heard), home=root, reads=IMAGES in shape.may_have, repairs=heard)
    return Record(record.file, record.line, values, record.nth)
