"""Sections of the page are data: what there is to be seen of judged rows, and who looks.

    Judged (rows, systems, labels, metrics)  --Analysis.section-->  Matrix(title=..., rows=[...], values=[[...]])

Page, terminal and drawings know the kind of a section (`table`, `matrix`, `curve`, `rows`), never what it is of; an
analysis knows what it is of, never how that is drawn.  `results.json` keeps sections by name, words in both languages.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from weitiao.core.contracts.metric import Metric, Told, unmet


class Part(BaseModel):
    """A part of `results.json`: nothing in it that is not said here."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Both(Part):
    """Words in both languages."""

    en: str
    zh: str


Words: TypeAlias = str | Both
"""What is said in the reader's language, or stands in the user's rows as it is (a label)."""


def both(english: str, chinese: str) -> Both:
    """Words in both languages."""
    return Both(en=english, zh=chinese)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Finite = Annotated[float, Field(allow_inf_nan=False)]
Number = Annotated[int | Finite | None, BeforeValidator(_finite)]
"""A number; none where there is none, also for nan."""


class Estimate(Part):
    """A number with its interval."""

    value: Number
    """The number."""
    low: Number = None
    """Lower end of the interval."""
    high: Number = None
    """Upper end."""


def estimated(found: Mapping[str, Any]) -> Estimate | None:
    """A metric as results have it, less why there is none; nothing where there is no value."""
    if found["value"] is None:
        return None
    return Estimate(value=found["value"], low=found["low"], high=found["high"])


Cell = Annotated[int | Finite | str | Both | Estimate | None, BeforeValidator(_finite)]
"""What stands in a table, or beside a row."""


class Section(Part):
    """Something to be seen, under a title."""

    title: Words
    """What it is called."""
    note: Words = ""
    """How it is to be read; beside it."""
    foot: Words = ""
    """What is to be said of it; below it."""
    brief: bool = False
    """Does the terminal show it, too, when a run is judged?"""


class Column(Part):
    """A column of a table."""

    title: Words
    """What its numbers are."""
    most: Finite | None = None
    """What a full bar stands for; none: its numbers have no bars."""


class TableRow(Part):
    """A row of a table."""

    name: Words
    """Of what the numbers are."""
    values: list[Cell]
    """One a column."""


class Table(Section):
    """Numbers by name: classes, slices, thresholds, runs."""

    kind: Literal["table"] = "table"
    head: Words = ""
    """What the names are of."""
    columns: list[Column]
    """Of its numbers."""
    rows: list[TableRow]
    """In order."""


class Matrix(Section):
    """Numbers by two names; shaded by their share of the row."""

    kind: Literal["matrix"] = "matrix"
    corner: Words = ""
    """What rows and columns are."""
    rows: list[Words]
    """Names of its rows."""
    columns: list[Words]
    """Names of its columns."""
    values: list[list[Number]]
    """Row by row."""
    diagonal: bool = False
    """Is it right to be on the diagonal, and wrong elsewhere?"""


class Line(Part):
    """Points in order."""

    name: Words
    """Of what the points are."""
    x: list[Finite]
    """How far to the right each is."""
    y: list[Finite]
    """How far up."""
    low: list[Finite] | None = None
    """Lower ends of intervals around the points."""
    high: list[Finite] | None = None
    """Upper ends."""
    joined: bool = True
    """Does a line go through the points, or is each alone?"""


class Curve(Section):
    """Lines or clouds of points over two axes."""

    kind: Literal["curve"] = "curve"
    x: Words
    """What goes to the right."""
    y: Words
    """What goes up."""
    lines: list[Line]
    """The most important one first."""
    x_range: tuple[Finite, Finite] | None = None
    """Both ends of the axis; default: what the points need."""
    y_range: tuple[Finite, Finite] | None = None
    """Both ends of the other axis."""
    diagonal: Words = ""
    """What lies where y = x, if that is drawn."""


class Fact(Part):
    """Something that is said of a row."""

    name: Words
    """What is said."""
    value: Cell
    """Of this row."""
    number: Number = None
    """Beside the value, such as its probability."""
    tone: Literal["", "want", "got"] = ""
    """Is it what was wanted, or what came instead?"""


class Answer(Part):
    """What somebody says to a row, in words."""

    name: Words
    """How it is called."""
    text: str
    """What is said."""
    system: str = ""
    """Who it is: `tuned`, `untuned`, a baseline, or `reference`."""


class Row(Part):
    """One row of the data with what is said of it."""

    text: str
    """Of the row; of a picture its file's name."""
    picture: str = ""
    """A small copy of its picture, as a `data:` URL."""
    facts: list[Fact] = []
    """What is true of it, and what was said."""
    answers: list[Answer] = []
    """What was answered, in words."""
    place: str = ""
    """File and line."""
    times: int = 1
    """How many rows it stands for, near copies with the same mistake."""


class Rows(Section):
    """Rows of the data, one by one."""

    kind: Literal["rows"] = "rows"
    rows: list[Row]
    """In the order in which they should be looked at."""


AnySection = Annotated[Table | Matrix | Curve | Rows, Field(discriminator="kind")]
KINDS = ("matrix", "table", "curve", "rows")
"""In the order of a page: what is counted, what is drawn, then rows one by one."""


@dataclass(frozen=True)
class Judged:
    """What an analysis looks at: judged test rows."""

    rows: Told
    """What was expected of each, and where it lies (`file`, `line`), as `predictions.jsonl` has it; a prompt is one text."""
    systems: Mapping[str, Told]
    """By name what each said of them; `tuned` among them."""
    labels: Sequence[str] = ()
    """The task's, in order; none where it has none."""
    metrics: Mapping[str, Metric] | None = None
    """What they are judged by, the primary one first."""
    sure: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
    """What of a prediction is told to whoever asks (`Task.sure`)."""
    samples: int = 8
    """How many rows are shown for no reason but to be seen (`evaluate.samples`)."""
    confidence: float = 0.95
    """Of intervals."""
    seed: int = 0
    """Of what is drawn by chance."""


class Analysis(ABC):
    """Who makes a section of judged rows.  Final subclasses are frozen dataclasses; their fields are their settings."""

    summary: ClassVar[str]
    """One line for the list."""
    needs: ClassVar[tuple[str, ...]]
    """What predictions must hold, as `Metric.needs`."""

    def lacks(self, holds: Any) -> str:
        """The first of its needs that predictions do not meet; empty when they meet all."""
        return unmet(self.needs, holds)

    @abstractmethod
    def section(self, judged: Judged) -> Section | None:
        """What there is to be seen; none where there is nothing (no row is wrong).

        Args:
            judged: the rows.
        """
