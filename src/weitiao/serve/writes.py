"""Rows that are answered in words by a model that is not talked with (translation, summaries): as many together as it can.

teller = Writes(model);  teller.admit(job);  teller.work()
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from weitiao.core.contracts import Record
from weitiao.serve.jobs import Job, Rows
from weitiao.serve.models import Model


@dataclass(eq=False)
class Writes:
    """Who asks a model that writes."""

    model: Model
    _came: deque[Rows] = field(default_factory=deque)

    def admit(self, job: Job) -> None:
        """Rows that are to be answered."""
        assert isinstance(job, Rows)
        self._came.append(job)

    @property
    def busy(self) -> bool:
        """Does anybody wait?"""
        return bool(self._came)

    def work(self) -> None:
        """The rows of one request."""
        job = self._came.popleft()
        if job.gone:
            return
        try:
            with self.model.in_use() as run:
                questions = replace(run.asked(list(job.rows), job.columns or None), skips=True)
                if all(questions.why_not(row) for row in questions.rows()):
                    # Where none can be asked, each says why.
                    came = [row for row in questions.rows() if isinstance(row, Record)]
                    job.tell([{"unusable": questions.why_not(row)} for row in came])
                    return
                job.tell([answer for _, answer in run.answers(questions, max_new_tokens=job.max_new_tokens)])
        except Exception as error:  # whoever asked hears of it; others are answered
            job.fail(error)
