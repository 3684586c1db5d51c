"""The one thread that asks models: jobs are left at any time, and answered as soon as may be.

desk = Desk(most=256);  desk.leave(model, job);  job.answered.result(timeout=...)

Each model has a teller, who takes jobs in and does a piece of work at a time: a pass over rows that wait, or one more token
of all answers that are being made.  Those who have something to do take turns.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol

from weitiao.serve.jobs import Job, Order
from weitiao.serve.labels import Labels
from weitiao.serve.models import Model
from weitiao.serve.writes import Writes


class Full(Exception):
    """The queue holds as much as it may."""


class Closed(Exception):
    """Nobody is asked any more."""


class Teller(Protocol):
    """Who asks one model."""

    model: Model

    def admit(self, job: Job) -> None:
        """Take a job in."""

    @property
    def busy(self) -> bool:
        """Is there something to do?"""

    def work(self) -> None:
        """A piece of it; whatever goes wrong is told to those who wait for it."""


class Desk:
    """Where jobs are left.

    Args:
        most: rows and answers that wait or are being made, at most.
        tokens: those of the rows that share a pass, at most, unless one alone has more.
        heard: hears how many wait, whenever that changes.
    """

    def __init__(self, *, most: int, tokens: int, heard: Callable[[int], None] = lambda waiting: None):
        self.most, self.tokens, self.heard = most, tokens, heard
        self.waiting = 0
        self._open = True
        self._lock = threading.Lock()
        self._line: queue.SimpleQueue[tuple[Model | None, Job]] = queue.SimpleQueue()
        self._tellers: dict[Model, Teller] = {}
        self._leaving: list[tuple[Model, Order]] = []
        self._thread = threading.Thread(target=self._run, name="weitiao-desk", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Is anybody there?"""
        return self._open and self._thread.is_alive()

    def leave(self, model: Model, job: Job) -> None:
        """A job; it is answered, or fails, or nobody waits for it any more.

        Raises:
            Full: there is no room; later there will be.
            Closed: there never will be.
        """
        with self._lock:
            if not self.alive:
                raise Closed
            # One alone may be larger than all the room there is.
            if self.waiting and self.waiting + job.size > self.most:
                raise Full
            self._count(job.size)
        job.answered.add_done_callback(lambda _: self._done(job.size))
        self._line.put((model, job))

    def order(self, order: Order) -> None:
        """Something that is done between two pieces of work.

        Raises:
            Closed: nobody would do it.
        """
        if not self.alive:
            raise Closed
        self._line.put((None, order))

    def let_go(self, model: Model, order: Order) -> None:
        """Something that is done once nobody waits for a model any more, nor is about to ask it; it must not be found by others.

        Raises:
            Closed: nobody would do it.
        """
        if not self.alive:
            raise Closed
        self._line.put((model, order))

    def wake(self) -> None:
        """Look again whether a model can be let go."""
        self._line.put((None, Order(deadline=float("inf"))))

    def close(self, *, wait_s: float | None = None) -> None:
        """Whoever waits gets an answer; nobody else does."""
        self._open = False
        self.wake()
        self._thread.join(wait_s)

    def _done(self, size: int) -> None:
        with self._lock:
            self._count(-size)

    def _count(self, more: int) -> None:
        self.waiting += more
        self.heard(self.waiting)

    def _run(self) -> None:
        while True:
            busy = [teller for teller in self._tellers.values() if teller.busy]
            if not busy and not self._open and self._line.empty():
                return
            self._take(wait=not busy)
            for teller in busy:
                teller.work()
            self._part()

    def _take(self, *, wait: bool) -> None:
        """All that has been left meanwhile."""
        while True:
            try:
                model, job = self._line.get(block=wait)
            except queue.Empty:
                return
            wait = False
            if model is None:
                assert isinstance(job, Order)
                self._obey(job)
            elif isinstance(job, Order):
                self._leaving.append((model, job))
            elif not job.gone:
                self._teller(model).admit(job)

    def _part(self) -> None:
        """From models that nobody asks any more."""
        for model, order in list(self._leaving):
            teller = self._tellers.get(model)
            if not model.held and not (teller and teller.busy):
                self._leaving.remove((model, order))
                self._tellers.pop(model, None)
                self._obey(order)

    def _obey(self, order: Order) -> None:
        try:
            order.tell(order.do())
        except Exception as error:  # whoever gave the order hears of it; the desk goes on
            order.fail(error)

    def _teller(self, model: Model) -> Teller:
        # By the model, not by its name: another one may have come under that, while this one still answers.
        if model not in self._tellers:
            self._tellers[model] = _teller(model, tokens=self.tokens)
        return self._tellers[model]


def _teller(model: Model, *, tokens: int) -> Teller:
    if not model.run.task.generates:
        return Labels(model, tokens=tokens)
    from weitiao.serve.talks import Talks

    return Talks(model) if model.talks else Writes(model)
