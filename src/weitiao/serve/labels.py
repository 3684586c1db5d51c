"""Rows that are labelled: those of several requests share a pass, each as if it were alone.

teller = Labels(model, tokens=4096);  teller.admit(job);  teller.work()

Rows come to a pass in the order in which they came; how they lie in it is what is known of the model (`Run.predict`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from weitiao.core.contracts import Example, Record
from weitiao.serve.graph import Read
from weitiao.serve.jobs import Job, Rows
from weitiao.serve.models import Model


@dataclass(eq=False)
class _Open:
    """A job of which some rows have been asked."""

    job: Rows
    told: list[dict[str, Any]]
    left: int


@dataclass(eq=False)
class _Row:
    of: _Open
    place: int
    record: Record
    example: Example | Read


@dataclass(eq=False)
class Labels:
    """Who asks a model that labels."""

    model: Model
    tokens: int
    """Tokens of a pass, at most, unless one row has more."""
    _came: deque[Rows] = field(default_factory=deque)
    _rows: deque[_Row] = field(default_factory=deque)

    def admit(self, job: Job) -> None:
        """Rows that are to be labelled."""
        assert isinstance(job, Rows)
        self._came.append(job)

    @property
    def busy(self) -> bool:
        """Are there rows that have not been asked?"""
        return bool(self._came or self._rows)

    def work(self) -> None:
        """One pass."""
        with self.model.in_use():
            while self._came:
                self._read(self._came.popleft())
            part = self._part()
            try:
                told = self._asked(part)
            except (
                Exception
            ) as error:  # one row may be what a model cannot bear; those beside it are asked again
                if len(part) > 1:
                    told = [self._alone(row) for row in part]
                else:
                    for row in part:
                        row.of.job.fail(error)
                    return
        for row, answer in zip(part, told, strict=True):
            if isinstance(answer, Exception):
                row.of.job.fail(answer)
            else:
                _tell(row.of, row.place, answer)

    def _read(self, job: Rows) -> None:
        """The rows of a job as the model reads them; what cannot be asked is answered at once."""
        if job.gone:
            return
        run, task = self.model.run, self.model.run.task
        try:
            questions = run.asked(list(job.rows), job.columns or None)
            came = [row for row in questions.rows() if isinstance(row, Record)]
            opened = _Open(job, [{}] * len(came), len(came))
            why = [questions.why_not(row) for row in came]
            usable = [place for place, fault in enumerate(why) if not fault]
            records = [questions.convert(came[place]) for place in usable]
            if job.passages:
                records = [
                    Record(row.file, row.line, task.passage(task_text(row)), row.nth) for row in records
                ]
            examples = self.model.read(records)
        except Exception as error:  # whatever a row holds, its sender alone hears of it
            job.fail(error)
            return
        job.tokens = sum(map(len, examples)) if task.reads_words else 0
        for place, fault in enumerate(why):
            if fault:
                _tell(opened, place, {"unusable": fault})
        for place, record, example in zip(usable, records, examples, strict=True):
            if example.refused:
                _tell(opened, place, {"unusable": example.refused})
            else:
                self._rows.append(_Row(opened, place, record, example))

    def _part(self) -> list[_Row]:
        """The rows of the next pass."""
        found: list[_Row] = []
        tokens = 0
        while self._rows:
            row = self._rows[0]
            if row.of.job.gone:
                self._rows.popleft()
                continue
            tokens += max(1, len(row.example))
            if found and tokens > self.tokens:
                break
            found.append(self._rows.popleft())
        return found

    def _asked(self, rows: list[_Row]) -> list[Any]:
        task = self.model.run.task
        told = self.model.told([row.example for row in rows])
        return [task.sure(task.shown(row.record, answer)) for row, answer in zip(rows, told, strict=True)]

    def _alone(self, row: _Row) -> Any:
        try:
            return self._asked([row])[0]
        except Exception as error:  # its sender hears of it
            return error


def _tell(opened: _Open, place: int, answer: dict[str, Any]) -> None:
    opened.told[place] = answer
    opened.left -= 1
    if not opened.left:
        opened.job.tell(opened.told)


def task_text(record: Record) -> str:
    """The text of a row that holds one."""
    return next(str(value) for value in record.values.values() if isinstance(value, str))
