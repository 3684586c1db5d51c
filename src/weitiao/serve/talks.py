"""Turns that are answered token by token: who asks joins those that are being answered, and leaves when nobody listens.

    teller = Talks(model);  teller.admit(Talk(prompt=[5, 6, 7], asked=Decoding(...)));  teller.work()

Whether answers can be made together is measured for each model (`models.decoding.ways`); where they cannot, and where prompts
show pictures, they are made one after the other.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from weitiao.models.decoding import Answer, Row, Turns, Way
from weitiao.models.decoding.alone import alone
from weitiao.serve.jobs import Heard, Job, Talk
from weitiao.serve.models import Model


@dataclass(eq=False)
class _Open:
    """A job whose answers are being made."""

    job: Talk
    answers: dict[int, Answer] = field(default_factory=dict)

    def ended(self, choice: int, answer: Answer) -> None:
        """One of its answers."""
        self.answers[choice] = answer
        if len(self.answers) == self.job.choices:
            self.job.tell([self.answers[choice] for choice in range(self.job.choices)])


@dataclass(eq=False)
class Talks:
    """Who asks a model that is talked with."""

    model: Model
    _came: deque[Talk] = field(default_factory=deque)
    _lone: deque[Talk] = field(default_factory=deque)
    """Those that are answered by themselves."""
    _names: count[int] = field(default_factory=count)
    _open: dict[int, tuple[_Open, int]] = field(default_factory=dict)
    """Whose answer a row is, and which of them."""
    _turns: Turns | None = None

    def admit(self, job: Job) -> None:
        """A prompt."""
        assert isinstance(job, Talk)
        alone = job.beside or self.model.way is Way.ALONE
        (self._lone if alone else self._came).append(job)

    @property
    def busy(self) -> bool:
        """Is an answer wanted?"""
        return bool(self._came or self._lone or self._open)

    def work(self) -> None:
        """One more token of every answer, or the first one of those that come; where answers are made one by one, one of them."""
        try:
            with self.model.in_use():
                self._work()
        except Exception as error:  # those who wait hear of it, and whoever comes is asked anew
            for opened in {id(opened): opened for opened, _ in self._open.values()}.values():
                opened.job.fail(error)
            self._open, self._turns = {}, None

    def _work(self) -> None:
        speaker = self.model.speaker
        model = speaker.loaded.model
        if self._lone:
            self._answered_alone(model)
        if not (self._came or self._open):
            return
        if self._turns is None:
            padding = speaker.loaded.processor.pad_token_id or 0
            words: dict[str, Any] = {"rows": speaker.rows, "tokens": speaker.tokens}
            words |= {"waits": False, "remembered": speaker.tokens // 2}
            self._turns = Turns(model, way=self.model.way, padding=padding, **words)
        self._let_in(self._turns)
        self._let_go(self._turns)
        if not self._turns.busy:
            return
        for said in self._turns.turn():
            opened, choice = self._open[said.row.name]
            enough = not opened.job.hear(Heard(choice, said.token, said.scores_V))
            answer = said.answer
            if enough and answer is None:
                self._turns.drop(said.row.name)
                answer = Answer(said.row.ids[said.row.prompt :], "end", None, said.row.logps)
            if answer is not None:
                del self._open[said.row.name]
                opened.ended(choice, answer)

    def _let_in(self, turns: Turns) -> None:
        while self._came:
            job = self._came.popleft()
            if job.gone:
                continue
            opened = _Open(job)
            for choice in range(job.choices):
                name = next(self._names)
                self._open[name] = opened, choice
                turns.add(Row(name, list(job.prompt), job.asked, number=choice))

    def _let_go(self, turns: Turns) -> None:
        """Whoever nobody listens to any more frees its place."""
        for name in [name for name, (opened, _) in self._open.items() if opened.job.gone]:
            turns.drop(name)
            del self._open[name]

    def _answered_alone(self, model: Any) -> None:
        job = self._lone.popleft()
        if job.gone:
            return
        opened = _Open(job)
        try:
            for choice in range(job.choices):
                opened.ended(choice, _alone(model, job, choice))
        except Exception as error:  # whoever asked hears of it; others are answered
            job.fail(error)


def _alone(model: Any, job: Talk, choice: int) -> Answer:
    ears = _Ears(job, choice)
    try:
        return alone(model, job.prompt, job.asked, number=choice, streamer=ears, beside=job.beside)
    except _Enough:
        return Answer(ears.heard, "end")


class _Enough(Exception):
    """Whoever listens has heard enough."""


class _Ears:
    """Hears the tokens of an answer that is made alone, as Transformers' streamers do: first those of the prompt."""

    def __init__(self, job: Talk, choice: int):
        self.job, self.choice, self._prompt = job, choice, True
        self.heard: list[int] = []

    def put(self, value: Any) -> None:
        """The prompt, then a token at a time."""
        if self._prompt:
            self._prompt = False
            return
        for token in value.flatten().tolist():
            self.heard.append(token)
            if self.job.gone or not self.job.hear(Heard(self.choice, token)):
                raise _Enough

    def end(self) -> None:
        """Nothing: the answer itself says it."""
