"""What is asked of a model: a job, with the promise of an answer.

job = Rows(rows=[{"text": "Great film."}], deadline=...);  desk.leave("reviews", job);  job.answered.result()
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weitiao.models.decoding.answers import Decoding


@dataclass(eq=False)
class Job:
    """Somebody waits for an answer, up to a time."""

    deadline: float
    """By `time.monotonic()`."""
    answered: Future[Any] = field(default_factory=Future)
    """What came of it; whoever does not wait any more cancels it."""

    @property
    def size(self) -> int:
        """As how much it counts in the queue."""
        return 1

    @property
    def gone(self) -> bool:
        """Does nobody wait any more?"""
        if not self.answered.done() and time.monotonic() > self.deadline:
            self.fail(TimeoutError())
        return self.answered.done()

    def tell(self, answer: Any) -> None:
        """The answer, to whoever still waits."""
        if not self.answered.done() and self.answered.set_running_or_notify_cancel():
            self.answered.set_result(answer)

    def fail(self, error: BaseException) -> None:
        """There is no answer, and why."""
        if not self.answered.done() and self.answered.set_running_or_notify_cancel():
            self.answered.set_exception(error)


@dataclass(eq=False)
class Rows(Job):
    """Rows of one request; the answer is a list of one prediction a row, {"unusable": why} for a row that cannot be asked."""

    rows: Sequence[Any] = ()
    columns: dict[str, str] = field(default_factory=dict)
    """Ours -> theirs."""
    passages: bool = False
    """Are they texts to be found, not texts that ask (`Task.passage`)?"""
    max_new_tokens: int = 200
    tokens: int = 0
    """Those that were read of them, once they are answered."""

    @property
    def size(self) -> int:
        """One each."""
        return len(self.rows)


@dataclass(frozen=True)
class Heard:
    """A token of an answer that is being made."""

    choice: int
    token: int
    scores: Any = None
    """What it was chosen by, (V,), for listeners that want to know how likely words were."""


@dataclass(eq=False, kw_only=True)
class Talk(Job):
    """A prompt of which one or several answers are wanted; the answer is a list of `Answer`s."""

    asked: Decoding
    prompt: Sequence[int] = ()
    choices: int = 1
    beside: Mapping[str, Any] = field(default_factory=dict)
    """Tensors that the model reads beside the words: the pictures of the prompt."""
    hear: Callable[[Heard], bool] = lambda heard: True
    """Hears every token as it comes, in the desk's thread; False: this choice has heard enough."""

    @property
    def size(self) -> int:
        """One for each choice."""
        return self.choices


@dataclass(eq=False)
class Order(Job):
    """Something that has to be done between two answers: a model that comes or goes."""

    do: Callable[[], Any] = lambda: None
