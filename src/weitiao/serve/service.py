"""What all routes share: the models, the desk, and how one waits for an answer.

service.model("reviews");  await service.ask(request, model, Rows(...));  await service.do(function)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from weitiao.core.contracts import Task
from weitiao.core.why import reason
from weitiao.serve.desk import Closed, Desk, Full
from weitiao.serve.guard import Refused
from weitiao.serve.jobs import Job, Order
from weitiao.serve.meters import Log, Meters
from weitiao.serve.models import Model, Models

T = TypeVar("T")
RETRY_S = 1
"""After so many seconds whoever found the queue full may try again."""


@dataclass
class Service:
    """What is served."""

    models: Models
    desk: Desk
    meters: Meters
    log: Log
    timeout_s: float
    """Seconds in which a request is answered, or refused."""
    longest: int
    """Tokens of an answer, at most, where a request does not say."""
    adapters: Path | None = None
    """Below it lie runs that may be loaded while it serves; None: none may."""
    now: Callable[[], float] = time.time
    """Seconds of Unix time."""

    def model(self, name: str | None, can: Callable[[Task], bool], what: str) -> Model:
        """The model of that name; where nobody names one, the first that can do what is asked.

        Args:
            name: as it was asked for.
            can: whether a task can do that.
            what: what it is to do, for the reader of an error.

        Raises:
            WeitiaoError: `unknown_name`.
            Refused: it cannot do that.
        """
        if name:
            model = self.models.get(name)
            if not can(model.run.task):
                task = model.run.recipe.task["name"]
                raise Refused(400, reason("cannot_do", model=name, task=task, what=what))
            return model
        found = next((model for model in self.models if can(model.run.task)), None)
        if found is None:
            raise Refused(404, reason("none_can_do", what=what))
        return found

    @property
    def deadline(self) -> float:
        """Until when an answer that is asked for now must be there."""
        return time.monotonic() + self.timeout_s

    def leave(self, model: Model, job: Job) -> None:
        """A job at the desk.

        Raises:
            Refused: 429 where the queue is full, 503 where the server ends.
        """
        try:
            self.desk.leave(model, job)
        except Full:
            raise Refused(429, reason("queue_full"), headers={"retry-after": str(RETRY_S)}) from None
        except Closed:
            raise Refused(503, reason("server_ends")) from None

    @contextmanager
    def holding(self, model: Model) -> Iterator[None]:
        """It stays, for whoever is about to leave a job for it and does something else before."""
        model.held += 1
        try:
            yield
        finally:
            model.held -= 1
            self.desk.wake()

    async def let_go(self, model: Model) -> None:
        """A model that is found no more, once all who found it are answered.

        Raises:
            Refused: 503 where the server ends.
        """
        order = Order(float("inf"), do=lambda: self.models.drop(model))
        try:
            self.desk.let_go(model, order)
        except Closed:
            raise Refused(503, reason("server_ends")) from None
        await asyncio.wrap_future(order.answered)

    async def ask(self, request: Any, model: Model, job: Job) -> Any:
        """The answer to a job; whoever goes meanwhile is not answered.

        Raises:
            Refused: 429, 503; 504 where the time is over; 499 for whoever has gone.
        """
        self.leave(model, job)
        return await self.wait(request, job)

    async def wait(self, request: Any, job: Job) -> Any:
        """What comes of a job that has been left."""
        answer = asyncio.ensure_future(asyncio.wrap_future(job.answered))
        gone = asyncio.ensure_future(_gone(request))
        try:
            left = max(0.0, job.deadline - time.monotonic())
            await asyncio.wait({answer, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if gone.done():
                raise Refused(499, reason("asker_gone"))
            raise TimeoutError
        except TimeoutError:
            raise Refused(504, reason("too_late", seconds=f"{self.timeout_s:g}")) from None
        finally:
            answer.cancel()
            gone.cancel()
            job.answered.cancel()

    async def do(self, function: Callable[[], T]) -> T:
        """Something that needs a model or its tokenizer, done by those who ask them.

        Raises:
            Refused: 503 where the server ends.
        """
        order = Order(self.deadline, do=function)
        try:
            self.desk.order(order)
        except Closed:
            raise Refused(503, reason("server_ends")) from None
        found: T = await asyncio.wrap_future(order.answered)
        return found

    async def ordered(self, request: Any, order: Order) -> Any:
        """The same for what takes long: whoever goes meanwhile is not waited for.

        Raises:
            Refused: as `ask`.
        """
        try:
            self.desk.order(order)
        except Closed:
            raise Refused(503, reason("server_ends")) from None
        return await self.wait(request, order)


async def _gone(request: Any) -> None:
    """Returns when whoever asked has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
