"""The ledger: every row ends as kept, duplicate, dropped or truncated, with the reason.

    Data, Task  ->  check(data, task)  ->  Checked(records, ledger)

Nothing here needs torch: it is what `weitiao data check` runs, and what `train` runs before the model is loaded.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from weitiao.core.contracts import Record, Task
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.recipe import Data
from weitiao.data import formats
from weitiao.data.read import BadRow, Source, read

SHOWN = 8  # bad rows named in an error; the ledger has them all


@dataclass
class Ledger:
    """What became of every row; `rows` lists all that were not kept as they were."""

    files: list[dict[str, Any]]
    total: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    split: dict[str, int] = field(default_factory=dict)
    labels: dict[str, dict[str, int]] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)

    def note(self, file: str, line: int, status: str, reason: str) -> None:
        """A row was not kept as it was."""
        self.rows.append({"file": file, "line": line, "status": status, "reason": reason})

    def counts(self) -> dict[str, int]:
        """Rows by what became of them; they add up to the input."""
        others = Counter(row["status"] for row in self.rows)
        return {"kept": self.total - sum(others.values()), **others}

    def to_dict(self) -> dict[str, Any]:
        """The ledger as it is written to `data/ledger.json`."""
        return {
            "files": self.files,
            "total": self.total,
            "counts": self.counts(),
            "split": self.split,
            "labels": self.labels,
            "tokens": self.tokens,
            "rows": self.rows,
        }


@dataclass
class Checked:
    """Converted records that can be used, the ledger, and the task with what the data told it."""

    records: list[Record]
    ledger: Ledger
    task: Task
    bad: list[BadRow]


def check(data: Data, task: Task, *, seed: int = 0) -> Checked:
    """Read, convert and check rows, and find the repeated ones.

    Raises:
        WeitiaoError: what `read` and `recognise` raise; `bad_rows` when rows cannot be used and
            `data.bad_rows` is `fail`; what the task's `learn` raises (`too_few_labels`, `mixed_labels`...).
    """
    checked = inspect(data, task, seed=seed)
    if checked.bad and data.bad_rows == "fail":
        raise bad_rows(checked.bad, total=checked.ledger.total)
    checked.task = task.learn(checked.records)
    return checked


def bad_rows(bad: Sequence[BadRow], *, total: int) -> WeitiaoError:
    """The error that names the first of them."""
    named = "\n".join(f"  {row.file} line {row.line}: {row.reason}" for row in bad[:SHOWN])
    if len(bad) > SHOWN:
        named += f"\n  ... and {len(bad) - SHOWN} more (`weitiao data check` lists them)"
    return fault("bad_rows", count=len(bad), total=total, rows=named)


def inspect(data: Data, task: Task, *, seed: int = 0) -> Checked:
    """`check`, but bad rows are only listed."""
    sources = read(data.train, encoding=data.encoding, seed=seed)
    total = sum(len(source.records) + len(source.bad) for source in sources)
    ledger = Ledger(files=[source.facts() for source in sources], total=total)
    bad = [row for source in sources for row in source.bad]
    usable: list[Record] = []
    for source in sources:
        good, unusable = _convert(source, data, task)
        usable += good
        bad += unusable
    records, contradictions = _distinct(usable, task, ledger, keep=data.duplicates == "keep")
    bad += contradictions
    for row in bad:
        ledger.note(row.file, row.line, "dropped", row.reason)
    if not records and not bad:
        raise fault("empty_file", path=", ".join(data.train), why="no rows are left")
    return Checked(records, ledger, task, bad)


def _convert(source: Source, data: Data, task: Task) -> tuple[list[Record], list[BadRow]]:
    if not source.records:
        return [], []
    name = formats.recognise(
        source.path, source.columns, known=task.formats, asked=data.format, columns=data.columns
    )
    good, bad = [], []
    for record in source.records:
        try:
            converted = formats.convert(record, format=name, columns=data.columns)
            reason = task.faults(converted)
        except formats.Unusable as error:
            reason = str(error)
        if reason:
            bad.append(BadRow(record.file, record.line, reason))
        else:
            good.append(converted)
    return good, bad


def normalised(text: str) -> str:
    """The text by which rows count as equal: width, case and white space do not tell rows apart."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _distinct(
    records: Sequence[Record], task: Task, ledger: Ledger, *, keep: bool
) -> tuple[list[Record], list[BadRow]]:
    """Rows less the repeated ones; texts that carry two different labels are contradictions, all of them bad."""
    first: dict[str, Record] = {}
    strata: dict[str, dict[str, Record]] = {}
    for record in records:
        strata.setdefault(normalised(task.key(record)), {}).setdefault(task.stratum(record), record)
    distinct, contradictions = [], []
    for record in records:
        key = normalised(task.key(record))
        if len(strata[key]) > 1:
            other = next(r for label, r in strata[key].items() if label != task.stratum(record))
            reason = f'the same text is labelled "{task.stratum(record)}" here and "{task.stratum(other)}" in {other.place}'
            contradictions.append(BadRow(record.file, record.line, reason))
        elif key in first and not keep:
            ledger.note(record.file, record.line, "duplicate", f"of {first[key].place}")
        else:
            first.setdefault(key, record)
            distinct.append(record)
    return distinct, contradictions


def label_table(splits: Mapping[str, Sequence[Record]], task: Task) -> dict[str, dict[str, int]]:
    """Rows per label in every split; empty for tasks without labels."""
    table = {name: Counter(filter(None, map(task.stratum, rows))) for name, rows in splits.items()}
    return {name: dict(sorted(counts.items())) for name, counts in table.items() if counts}
