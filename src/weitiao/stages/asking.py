"""What a model is asked to label: texts, rows, tables and files, as the columns that its task reads.

    asked(["Great film."], run)                      ->  Questions
    asked(Path("new.csv"), run, {"text": "body"})    ->  Questions;  for came, record in questions: ...

A column is the one that is named, else the one that the recipe names, else the one called as the task calls it, or as
its shape says that it may be called.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from weitiao.core.contracts import Record, Task
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.recipe import Recipe
from weitiao.core.why import reason
from weitiao.data import formats
from weitiao.data.clean import clean
from weitiao.data.equal_text import blank
from weitiao.data.formats.convert import kind
from weitiao.data.ledger import named_rows
from weitiao.data.read import BadRow, parted, read, table_rows
from weitiao.data.read.encodings import HALF
from weitiao.data.read.source import seen_columns
from weitiao.data.read.values import plain

ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".txt", ".parquet", ".xlsx", ".gz")
NAMED = 8  # bad ones that an error names
TABLES = (("pandas", "DataFrame"), ("pyarrow", "Table"), ("datasets", "Dataset"))


class Answering(Protocol):
    """What is known of whoever will answer: a run."""

    @property
    def task(self) -> Task:
        """Its task, with what the data taught it."""

    @property
    def recipe(self) -> Recipe:
        """What columns are called, and what is repaired in them."""

    @property
    def columns(self) -> frozenset[str]:
        """The columns of its task that its own rows had."""


@dataclass(frozen=True)
class Questions:
    """Rows to be labelled, as they come and as the task reads them; they can be gone through again."""

    columns: Sequence[str]
    """As they come."""
    read: Mapping[str, str]
    """The task's column -> theirs."""
    rows: Callable[[], Iterator[Record | BadRow]]
    convert: Callable[[Record], Record]
    file: str = ""
    """Empty where they do not come from a file."""
    bare: bool = field(default=False)
    """Are they texts without columns?"""
    lists: Sequence[str] = ()
    """Which of the task's columns may hold a list of texts, each of which must say something."""
    unusable: Callable[[Record], str] | None = None
    """Why a row cannot be asked; default: its columns must hold texts."""
    skips: bool = False
    """Do rows that cannot be asked go without an answer?  Else they are refused."""

    def __iter__(self) -> Iterator[tuple[Record, Record]]:
        """Every row as it came, and as the task reads it."""
        return ((row, self.convert(row)) for row in self.rows() if isinstance(row, Record))

    def count(self) -> int:
        """How many there are.

        Raises:
            WeitiaoError: `bad_rows` or `bad_given` when one cannot be labelled and may not go without (one that cannot be
                read never may), or when none can; `no_texts` when there is none.
        """
        total, bad, unread = 0, [], False
        for row in self.rows():
            total += 1
            unread = unread or isinstance(row, BadRow)
            if why := self.why_not(row):
                bad.append({"file": row.file, "line": row.line, "nth": row.nth, "reason": why})
        if self.skips and len(bad) < total and not unread:
            return total
        if bad and self.file:
            raise fault("bad_rows", count=len(bad), total=total, rows=named_rows(bad))
        if bad:
            rows = "\n".join(f"  {one['line']}: {one['reason']}" for one in bad[:NAMED])
            raise fault("bad_given", count=len(bad), total=total, rows=rows)
        return total

    def why_not(self, row: Record | BadRow) -> str:
        """Why a row cannot be asked; empty when it can."""
        if isinstance(row, BadRow):
            return row.reason
        if self.unusable:
            return self.unusable(row)
        for ours, theirs in self.read.items():
            value = row.values.get(theirs)
            listed = isinstance(value, list) and ours in self.lists
            texts: list[Any] = value if isinstance(value, list) and listed else [value]
            if not texts:
                return reason("is_empty", what=ours)
            for number, text in enumerate(texts, start=1):
                what = f"{ours}[{number}]" if listed else ours
                if not isinstance(text, str):
                    return reason("is_kind", what=what, kind=kind(text))
                if blank(text):
                    return reason("is_empty", what=what)
                if HALF.search(text):
                    return reason("half_character", what=what)
        return ""


def asked(given: Any, run: Answering, columns: Mapping[str, str] | None = None) -> Questions:
    """What is given to be labelled.

    Args:
        given: a text, texts, a row (a dict), rows, a pandas table or Series, a `datasets.Dataset`, a `pyarrow.Table`,
            or a path: a `Path`, or a word that names a file.
        run: whose task and recipe say which columns are read.
        columns: our column -> theirs, as `data.columns`.

    Raises:
        WeitiaoError: `not_texts` for anything else; `no_asked_column`; what reading a file raises.
    """
    rows = given_rows(given, run, columns, items_of=lambda these: as_rows(items_of(these), read_of(run)))
    return _questions(run, rows.columns, rows.rows, columns, file=rows.file, bare=rows.bare)


@dataclass(frozen=True)
class Given:
    """Rows as they were given, before anything is asked of them."""

    columns: Sequence[str]
    rows: Callable[[], Iterator[Record | BadRow]]
    file: str = ""
    bare: bool = False
    """Are they texts, not rows?"""


def given_rows(
    given: Any, run: Answering, columns: Mapping[str, str] | None, *, items_of: Callable[[Any], list[Any]]
) -> Given:
    """The rows of a file, or of whatever `items_of` makes texts or rows of.

    Raises:
        WeitiaoError: `not_texts` for texts with `columns`; what reading a file and `items_of` raise.
    """
    if isinstance(given, Path) or (isinstance(given, str) and names_a_file(given)):
        # Every line gets its answer, or is named: those behind a blank one would else get their neighbours'.
        data = run.recipe.data
        (source,) = read([str(given)], encoding=data.encoding, seed=run.recipe.seed, blank=True)
        return Given(source.columns, source.rows, source.file)
    items = items_of(given)
    if bare := all(isinstance(item, str) for item in items):
        items = [{"text": str(item)} for item in items]
        if columns:
            raise fault("not_texts", kind="texts", why=reason("texts_have_no_columns"))
    records = [Record("", number, row) for number, row in enumerate(items, start=1)]
    return Given(["text"] if bare else seen_columns(records), lambda: iter(records), bare=bare)


def names_a_file(word: str) -> bool:
    """A word that names a file is hardly a text to be labelled; one that ends like a file was meant to name one."""
    if not word or len(word) > 255 or "\n" in word or "\0" in word:
        return False
    word = parted(word)[0]
    return Path(word).is_file() or (word.lower().endswith(ENDINGS) and not any(map(str.isspace, word)))


def items_of(given: Any) -> list[Any]:
    """Texts, or rows; never both."""
    if isinstance(given, str | Mapping):
        given = [given]
    name = (type(given).__module__.partition(".")[0], type(given).__name__)
    if name in TABLES:
        return table_rows(given)
    ordered = isinstance(given, Iterable) and not isinstance(given, bytes | set | frozenset | io.IOBase)
    if not ordered or name == ("numpy", "ndarray") and given.ndim != 1:
        raise fault("not_texts", kind=type(given).__name__, why=reason("neither_texts_nor_rows"))
    items = [item if isinstance(item, str) else plain(item) for item in given]
    for number, item in enumerate(items, start=1):
        if not isinstance(item, str | Mapping):
            why = reason("number_is", number=number, kind=kind(item))
            raise fault("not_texts", kind=type(given).__name__, why=why)
        if isinstance(item, str) != isinstance(items[0], str):
            why = reason("numbers_differ", first=kind(items[0]), number=number, kind=kind(item))
            raise fault("not_texts", kind=type(given).__name__, why=why)
    return items


def as_rows(items: list[Any], ours: Sequence[str]) -> list[Any]:
    """Texts that are JSON objects as rows, where a text alone is not enough; else what came.

    Args:
        items: texts, or rows.
        ours: the columns that are read of each.

    Raises:
        WeitiaoError: `texts_alone` for other texts, where it is not.
    """
    if len(ours) < 2 or not items or not isinstance(items[0], str):
        return items
    rows = [dict.fromkeys(ours, "") if blank(item) else _as_row(item) for item in items]
    if texts := [str(number) for number, row in enumerate(rows, start=1) if row is None]:
        numbers = ", ".join(texts[:NAMED]) + " ..." * (len(texts) > NAMED)
        row = json.dumps(dict.fromkeys(ours, "..."))
        raise fault("texts_alone", columns=", ".join(ours), row=row, numbers=numbers)
    return rows


def _as_row(text: str) -> dict[str, Any] | None:
    """A JSON object; None for other texts."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def read_of(run: Answering) -> list[str]:
    """The columns of its task that a run reads of a row that is asked."""
    alone = run.task.record("")  # what is known of a text of which nothing else is known
    return [
        name for name in run.task.shape.columns if name in run.columns and alone.get(name, "") is not None
    ]


def _questions(
    run: Answering,
    found: Sequence[str],
    rows: Callable[[], Iterator[Record | BadRow]],
    columns: Mapping[str, str] | None,
    *,
    file: str = "",
    bare: bool = False,
) -> Questions:
    task, recipe = run.task, run.recipe.data
    alone, ours = task.record(""), read_of(run)
    # Rows of words may come as words, or as a text that the task cuts.
    texts = [name for name in ("text",) if name in alone and name not in task.shape.columns]
    for name, theirs in (columns or {}).items():
        place = file or reason("the_table")
        if name not in (known := [*ours, *texts]):
            raise fault("unread_column", column=name, known=", ".join(known), hint=did_you_mean(name, known))
        if theirs not in found:
            hint = did_you_mean(theirs, found)
            raise fault(
                "no_asked_column", path=place, column=theirs, ours=name, found=", ".join(found), hint=hint
            )

    def found_as(name: str) -> str:
        named = [(columns or {}).get(name, ""), "" if bare else recipe.columns.get(name, ""), name]
        # As the rows that were learnt from may have been called: a `query` is an anchor.
        for other in () if bare else task.shape.also.get(name, ()):
            named += [recipe.columns.get(other, ""), other]
        return next((each for each in named if each and each in found), "")

    if texts and found_as("text") and not (all(map(found_as, ours)) and "text" not in (columns or {})):
        ours = texts
    read: dict[str, str] = {}
    for name in ours:
        theirs = found_as(name)
        if not theirs:
            hint = formats.hint(name, found)
            asked_for = recipe.columns.get(name, name)
            raise fault(
                "no_asked_column",
                path=file or reason("the_texts" if bare else "the_table"),
                column=asked_for,
                ours=name,
                found=", ".join(found),
                hint=hint,
            )
        read[name] = theirs

    def convert(row: Record) -> Record:
        given = {name: row.values[theirs] for name, theirs in read.items()}
        values = task.record(given["text"]) if ours == texts else alone | given
        # What was repaired in the texts that were learnt is repaired here.
        values = clean(values, task.shape, recipe.clean)[0] if recipe.clean else values
        return Record(row.file, row.line, values, row.nth)

    lists = [name for name in ours if isinstance(alone.get(name), list)]
    return Questions(list(found), read, rows, convert, file, bare, lists)
