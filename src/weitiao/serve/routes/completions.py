"""A text in, what follows it out: `/v1/completions`, as OpenAI's clients ask for it; no template is put around the text."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Self

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import Field, model_validator

from weitiao.core.contracts import Task
from weitiao.core.why import reason, unfit
from weitiao.serve.events import streamed
from weitiao.serve.guard import Refused
from weitiao.serve.routes.chat import Sampled
from weitiao.serve.service import Service
from weitiao.serve.speaking import Opened, Word, counted, opened

LONGEST = 16
"""Tokens of an answer where nobody says, as OpenAI has it."""


class Completion(Sampled):
    """A request of OpenAI's clients."""

    prompt: str
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool = False

    @model_validator(mode="after")
    def _weighs_answers(self) -> Self:
        if self.echo and self.logprobs is not None:
            raise unfit("echo_unweighed")
        return self


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["chat"])

    @router.post("/v1/completions", summary="Go on with a text (OpenAI)")
    async def completions(asked: Completion, request: Request) -> Any:
        model = service.model(asked.model, _generates, reason("to_complete"))
        if not model.talks:
            task = model.run.recipe.task["name"]
            raise Refused(400, reason("cannot_do", model=model.name, task=task, what=reason("to_complete")))
        words = asked.wanted(asked.max_tokens or LONGEST, likely=asked.logprobs)
        talk = await opened(
            service,
            request,
            model,
            lambda: (model.speaker.loaded.processor(asked.prompt, verbose=False)["input_ids"], {}),
            words,
        )
        request.state.facts["texts"] = asked.prompt
        known = {
            "id": f"cmpl-{request.state.facts['id']}",
            "object": "text_completion",
            "created": int(service.now()),
            "model": model.name,
            "system_fingerprint": f"fp_{model.content}",
        }
        before = asked.prompt if asked.echo else ""
        if asked.stream:
            usage = asked.stream_options is not None and asked.stream_options.include_usage
            lines = streamed(_chunks(talk, known, request, before, usage=usage))
            return StreamingResponse(lines, media_type="text/event-stream")
        choices = [
            _choice(
                place, before + said.text, said.finish, said.words if asked.logprobs is not None else None
            )
            for place, said in enumerate(await talk.whole(request))
        ]
        return {**known, "choices": choices, "usage": counted(talk, request)}

    return router


def _generates(task: Task) -> bool:
    return task.generates


def _choice(place: int, text: str, finish: str | None, words: list[Word] | None = None) -> dict[str, Any]:
    logprobs = None
    if words is not None:
        logprobs = {
            "tokens": [word.token for word in words],
            "token_logprobs": [word.logp for word in words],
            "top_logprobs": [dict(word.others) for word in words],
        }
    return {"index": place, "text": text, "logprobs": logprobs, "finish_reason": finish}


async def _chunks(
    talk: Opened, known: dict[str, Any], request: Request, before: str, *, usage: bool
) -> AsyncIterator[dict[str, Any]]:
    known = known | ({"usage": None} if usage else {})
    if before:
        for place in range(talk.wanted.choices):
            yield {**known, "choices": [_choice(place, before, None)]}
    async for piece in talk.pieces():
        words = list(piece.words) if piece.words else None
        if piece.text or piece.finish or words:
            yield {**known, "choices": [_choice(piece.choice, piece.text, piece.finish, words)]}
    told = counted(talk, request)
    if usage:
        yield {**known, "choices": [], "usage": told}
