"""Answers in words, as pieces of text while they are made, or whole.

talk = await opened(service, model, Wanted(turns=[...], choices=2))
async for piece in talk.pieces():  ...           while it is made
said = await talk.whole(request)                 all of it
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from weitiao.core.contracts import Record
from weitiao.core.why import reason
from weitiao.serve.guard import Refused
from weitiao.serve.jobs import Heard, Talk
from weitiao.serve.models import Model
from weitiao.serve.service import Service
from weitiao.serve.texts import Text
from weitiao.stages.asking import Questions

if TYPE_CHECKING:
    from weitiao.models.decoding import Answer, Decoding, Way

Finish = Literal["stop", "length"]
TOO_LONG = "context_length_exceeded"


@dataclass(frozen=True)
class Wanted:
    """How an answer is wanted."""

    max_new_tokens: int
    choices: int = 1
    stops: Sequence[str] = ()
    temperature: float | None = None
    """None and 0: the likeliest words, as runs are judged."""
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    likely: int | None = None
    """With how many of the likeliest words each is told; None: no log-probabilities."""
    schema: Mapping[str, Any] | None = None
    """Of JSON that answers are; None: texts."""

    def decoding(self, model: Model) -> Decoding:
        """As the model is asked; to be asked for while it is in use.

        Raises:
            WeitiaoError: `wrong_usage`, where it cannot answer in the form that is wanted.
        """
        from weitiao.models import marks
        from weitiao.models.decoding import Decoding
        from weitiao.models.decoding.grammar import Grammar

        speaker = model.speaker
        stops, limit = marks.ends(speaker.loaded.model, speaker.loaded.processor), speaker.limit

        drawn = self.top_p is not None or self.top_k is not None
        sample = bool(self.temperature) or (self.temperature is None and drawn)
        words: dict[str, Any] = {"stops": stops, "limit": limit, "max_new_tokens": self.max_new_tokens}
        if sample:
            chance = {"top_p": self.top_p, "top_k": self.top_k, "seed": self.seed}
            words |= {"sample": True, "temperature": self.temperature or 1.0, **chance}
        if self.schema is not None:
            words["grammar"] = Grammar.json(model.tokens(stops), self.schema)
        return Decoding(**words)


@dataclass(frozen=True)
class Word:
    """How likely a word was."""

    token: str
    logp: float
    others: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True)
class Piece:
    """A part of an answer."""

    choice: int
    text: str
    words: Sequence[Word] = ()
    finish: Finish | None = None
    """Why nothing more comes of it."""


@dataclass
class Said:
    """An answer."""

    text: str = ""
    words: list[Word] = field(default_factory=list)
    finish: Finish = "stop"


class Opened:
    """A job whose answers are being made.

    Args:
        service: who has it done.
        model: who answers.
        prompt: token ids.
        wanted: how.
        asked: the same, as the model is asked.
        beside: what it reads beside the prompt.
    """

    def __init__(
        self,
        service: Service,
        model: Model,
        prompt: Sequence[int],
        wanted: Wanted,
        asked: Decoding,
        beside: Mapping[str, Any],
    ) -> None:
        self.service, self.model, self.prompt, self.wanted, self.asked = service, model, prompt, wanted, asked
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Piece | BaseException | None] = asyncio.Queue()
        self._processor = model.speaker.loaded.processor
        self._texts = [Text(self._processor, wanted.stops) for _ in range(wanted.choices)]
        self.answers: list[Answer] = []
        """Once they are made."""
        words: dict[str, Any] = {
            "prompt": prompt,
            "asked": asked,
            "choices": wanted.choices,
            "beside": beside,
        }
        self.job = Talk(service.deadline, hear=self._hear, **words)
        self.job.answered.add_done_callback(self._ended)
        service.leave(model, self.job)

    async def pieces(self) -> AsyncIterator[Piece]:
        """What is said, as it is said.

        Raises:
            Refused: 504 where the time is over.
        """
        try:
            while True:
                left = self.job.deadline - time.monotonic()
                async with asyncio.timeout(max(0.0, left)):
                    piece = await self._queue.get()
                if piece is None:
                    return
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        except TimeoutError:
            raise Refused(504, reason("too_late", seconds=f"{self.service.timeout_s:g}")) from None
        finally:
            self.job.answered.cancel()  # whoever does not listen any more frees the place

    async def whole(self, request: Any) -> list[Said]:
        """All of it.

        Raises:
            Refused: as `Service.ask`.
        """
        await self.service.wait(request, self.job)
        found = [Said() for _ in range(self.wanted.choices)]
        async for piece in self.pieces():
            said = found[piece.choice]
            said.text += piece.text
            said.words += piece.words
            said.finish = piece.finish or said.finish
        return found

    # --- in the desk's thread

    def _hear(self, heard: Heard) -> bool:
        if heard.token in self.asked.stops:
            return True
        text = self._texts[heard.choice]
        new = text.add(heard.token)
        words = [self._word(heard)] if self.wanted.likely is not None else []
        if new or words:
            self._put(Piece(heard.choice, new, words))
        return not text.stopped

    def _ended(self, future: Any) -> None:
        if future.cancelled():
            self._put(None)
            return
        if error := future.exception():
            self._put(error)
            return
        self.answers = future.result()
        for choice, (answer, text) in enumerate(zip(self.answers, self._texts, strict=True)):
            finish: Finish = "stop" if text.stopped or answer.ending == "end" else "length"
            self._put(Piece(choice, text.end(), finish=finish))
        self._put(None)

    def _put(self, piece: Piece | BaseException | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._queue.put_nowait, piece)

    def _word(self, heard: Heard) -> Word:
        """By the model's own scores, whatever was drawn from."""
        logps_V = heard.scores.float().log_softmax(-1)
        likely = self.wanted.likely or 0
        best = logps_V.topk(min(likely, len(logps_V))) if likely else None
        others = [] if best is None else list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
        name: Callable[[int], str] = lambda token: str(self._processor.decode([token]))  # noqa: E731
        return Word(name(heard.token), float(logps_V[heard.token]), [(name(t), logp) for t, logp in others])


async def opened(
    service: Service,
    request: Any,
    model: Model,
    prompt: Callable[[], tuple[Sequence[int], Mapping[str, Any]]],
    wanted: Wanted,
) -> Opened:
    """An answer is begun.

    Args:
        service: who has it done.
        request: of whoever asks.
        model: who answers.
        prompt: makes token ids, and tensors that are read beside them, where nobody else asks the model meanwhile.
        wanted: how it is wanted.

    Raises:
        Refused: 400 where the prompt leaves no room; 429, 503.
        WeitiaoError: what making the prompt raises.
    """
    from weitiao.models.decoding import Way

    def made() -> tuple[list[int], Mapping[str, Any], Decoding, Way]:
        with model.in_use():
            ids, beside = prompt()
            return list(ids), beside, wanted.decoding(model), model.way

    with service.holding(model):
        ids, beside, asked, way = await service.do(made)
        if not ids:
            raise Refused(400, reason("prompt_is_empty"), code="empty_prompt")
        if not asked.room(len(ids)):
            raise Refused(400, reason("prompt_too_long", tokens=len(ids), limit=asked.limit), code=TOO_LONG)
        if wanted.likely is not None and (beside or way is Way.ALONE):
            raise Refused(400, reason("words_not_weighed", model=model.name), code="unsupported_value")
        told = {"model": model.name, "content": model.content, "prompt_tokens": len(ids)}
        request.state.facts |= told
        service.meters.tokens.labels(model.name, "prompt").inc(len(ids))
        return Opened(service, model, ids, wanted, asked, beside)


def counted(talk: Opened, request: Any) -> dict[str, int]:
    """Tokens of an answer that is made, as OpenAI says them."""
    read, made = len(talk.prompt), sum(len(answer.ids) for answer in talk.answers)
    talk.service.meters.tokens.labels(talk.model.name, "completion").inc(made)
    request.state.facts["completion_tokens"] = made
    return {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}


def log_words(words: Sequence[Word]) -> list[dict[str, Any]]:
    """Log-probabilities as OpenAI says them."""

    def one(token: str, logp: float) -> dict[str, Any]:
        # Never less than OpenAI's "very unlikely": JSON has no infinity.
        logp = logp if math.isfinite(logp) else -9999.0
        return {"token": token, "logprob": logp, "bytes": list(token.encode())}

    return [
        {**one(word.token, word.logp), "top_logprobs": [one(*other) for other in word.others]}
        for word in words
    ]


async def answered(
    service: Service,
    request: Any,
    model: Model,
    rows: Sequence[Any],
    columns: Mapping[str, str],
    longest: int,
) -> list[dict[str, Any]]:
    """Rows that are answered in words, each as `Run.predict` says it."""

    def read() -> list[tuple[Record, str, list[int]]]:
        with model.in_use() as run:
            questions = run.asked(list(rows), dict(columns) or None)
            return [_read(row, questions, model) for row in questions.rows() if isinstance(row, Record)]

    with service.holding(model):
        return await _answered(service, request, model, await service.do(read), longest)


async def _answered(
    service: Service,
    request: Any,
    model: Model,
    came: Sequence[tuple[Record, str, list[int]]],
    longest: int,
) -> list[dict[str, Any]]:
    task = model.run.task
    room = asyncio.Semaphore(model.speaker.rows)

    async def one(record: Record, why: str, ids: Sequence[int]) -> dict[str, Any]:
        if why:
            return {"unusable": why}
        async with room:
            try:
                talk = await opened(service, request, model, lambda: (ids, {}), Wanted(longest))
            except Refused as error:
                if error.code != TOO_LONG:
                    raise
                answer, ending = "", "full"
            else:
                (said,) = await talk.whole(request)
                answer, ending = said.text, talk.answers[0].ending
                counted(talk, request)
        return task.sure(task.shown(record, {"answer": answer, "ending": ending}))

    async with asyncio.TaskGroup() as group:
        told = [group.create_task(one(*each)) for each in came]
    return [each.result() for each in told]


def _read(row: Record, questions: Questions, model: Model) -> tuple[Record, str, list[int]]:
    """A row as the model goes on from it, or why it cannot be asked."""
    if why := questions.why_not(row):
        return row, why, []
    record = questions.convert(row)
    turns, tools = record.values["messages"], record.values.get("tools")
    return record, "", model.run.task.opening(turns, model.speaker.loaded.processor, tools=tools)
