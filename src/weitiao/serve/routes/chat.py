"""Turns in, the next turn out: `/v1/chat/completions`, as OpenAI's clients ask for it.

Without `temperature` the likeliest words are taken, as runs are judged.  What cannot be done is refused, not passed over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from weitiao.core.contracts import Task
from weitiao.core.why import reason, unfit
from weitiao.serve.events import streamed
from weitiao.serve.pictures import looked_at
from weitiao.serve.service import Service
from weitiao.serve.speaking import Opened, Wanted, counted, log_words, opened

MOST_CHOICES = 16
UNHEEDED = Field(
    None, description="Who is asking, as OpenAI's clients say it: changes nothing, and is not kept."
)


class Part(BaseModel):
    """A part of what was said."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["text"]
    text: str


class Address(BaseModel):
    """Where a picture lies."""

    model_config = ConfigDict(extra="forbid")
    url: str = Field(description="The picture itself, as a data: URL; none is fetched.")
    detail: Literal["auto"] | None = None


class Picture(BaseModel):
    """A picture among the words."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["image_url"]
    image_url: Address


class Turn(BaseModel):
    """What somebody said."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Annotated[Part | Picture, Field(discriminator="type")]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    refusal: None = None

    @model_validator(mode="after")
    def _says_something(self) -> Turn:
        if self.content is None and not self.tool_calls:
            raise unfit("turn_of_nothing")
        return self

    @property
    def shows(self) -> bool:
        """Are there pictures among its words?"""
        return isinstance(self.content, list) and any(part.type == "image_url" for part in self.content)

    def told(self) -> dict[str, Any]:
        """As chat templates take it; one that shows pictures in its parts."""
        content: Any = self.content
        if self.shows:
            content = [part.model_dump() for part in content]
        elif isinstance(content, list):
            content = "".join(part.text for part in content)
        turn: dict[str, Any] = {
            "role": "system" if self.role == "developer" else self.role,
            "content": content,
        }
        for name in ("name", "tool_calls", "tool_call_id"):
            if (value := getattr(self, name)) is not None:
                turn[name] = value
        return turn


class Named(BaseModel):
    """A schema."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(pattern=r"^[\w-]{1,64}$")
    description: str | None = None
    definition: dict[str, Any] = Field(alias="schema", description="As JSON Schema says it.")
    strict: bool | None = Field(
        None, description="An answer always satisfies the schema, whatever this says."
    )


class AsText(BaseModel):
    """Any answer."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["text"]
    schema_: ClassVar[None] = None


class AsObject(BaseModel):
    """Answers are JSON objects."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["json_object"]
    schema_: ClassVar[dict[str, Any]] = {"type": "object"}


class AsSchema(BaseModel):
    """Answers are JSON that satisfies a schema."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["json_schema"]
    json_schema: Named

    @property
    def schema_(self) -> dict[str, Any]:
        """The schema."""
        return self.json_schema.definition


class StreamOptions(BaseModel):
    """What a stream says beside the text."""

    model_config = ConfigDict(extra="forbid")
    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class Sampled(BaseModel):
    """How answers are made; what only one value stands for cannot be had otherwise."""

    model_config = ConfigDict(extra="forbid")
    model: str | None = None
    n: int = Field(1, ge=1, le=MOST_CHOICES)
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=1)
    seed: int | None = None
    stop: str | list[str] | None = Field(None, max_length=1000)
    stream: bool = False
    stream_options: StreamOptions | None = None
    frequency_penalty: Literal[0] = 0
    presence_penalty: Literal[0] = 0
    logit_bias: None = None
    user: str | None = UNHEEDED
    metadata: None = None

    @model_validator(mode="after")
    def _streams(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise unfit("only_with", key="stream_options", other='"stream": true')
        return self

    def wanted(self, longest: int, *, likely: int | None) -> Wanted:
        """As the model is asked."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        chance = {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}
        return Wanted(longest, self.n, stops, seed=self.seed, likely=likely, **chance)  # type: ignore[arg-type]


class ChatCompletion(Sampled):
    """A request of OpenAI's clients."""

    messages: list[Turn] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    tools: list[dict[str, Any]] | None = Field(None, description="Shown to the model by its template.")
    tool_choice: Literal["auto", "none"] | None = None
    parallel_tool_calls: Literal[True] | None = None
    response_format: Annotated[AsText | AsObject | AsSchema, Field(discriminator="type")] | None = None
    store: Literal[False] | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise unfit("only_with", key="top_logprobs", other='"logprobs": true')
        if self.max_tokens and self.max_completion_tokens not in (None, self.max_tokens):
            raise unfit("two_lengths")
        return self


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["chat"])

    @router.post("/v1/chat/completions", summary="Answer a conversation (OpenAI)")
    async def chat(asked: ChatCompletion, request: Request) -> Any:
        model = service.model(asked.model, chats, reason("to_chat"))
        turns = [turn.told() for turn in asked.messages]
        tools = asked.tools if asked.tool_choice != "none" else None
        shows = any(turn.shows for turn in asked.messages)

        def prompt() -> tuple[Sequence[int], Mapping[str, Any]]:
            from weitiao.tasks.parts.packed import beside

            processor = model.speaker.loaded.processor
            with looked_at(turns, processor, model=model.name) if shows else nullcontext(turns) as known:
                ids = model.run.task.opening(known, processor, tools=tools)
                return ids, beside(processor, ids) if shows else {}

        wanted = asked.wanted(
            asked.max_completion_tokens or asked.max_tokens or service.longest,
            likely=(asked.top_logprobs or 0) if asked.logprobs else None,
        )
        if asked.response_format:
            wanted = replace(wanted, schema=asked.response_format.schema_)
        talk = await opened(service, request, model, prompt, wanted)
        request.state.facts["texts"] = turns
        known = {
            "id": f"chatcmpl-{request.state.facts['id']}",
            "created": int(service.now()),
            "model": model.name,
            "system_fingerprint": f"fp_{model.content}",
        }
        if asked.stream:
            usage = asked.stream_options is not None and asked.stream_options.include_usage
            lines = streamed(_chunks(talk, known, request, usage=usage))
            return StreamingResponse(lines, media_type="text/event-stream")
        choices = [
            {
                "index": place,
                "message": {"role": "assistant", "content": said.text, "refusal": None},
                "logprobs": {"content": log_words(said.words), "refusal": None} if asked.logprobs else None,
                "finish_reason": said.finish,
            }
            for place, said in enumerate(await talk.whole(request))
        ]
        return {**known, "object": "chat.completion", "choices": choices, "usage": counted(talk, request)}

    return router


def chats(task: Task) -> bool:
    """Is a task talked with?"""
    return task.chats


async def _chunks(
    talk: Opened, known: dict[str, Any], request: Request, *, usage: bool
) -> AsyncIterator[dict[str, Any]]:
    """The parts of a stream."""
    known = {**known, "object": "chat.completion.chunk"} | ({"usage": None} if usage else {})

    def chunk(place: int, delta: dict[str, Any], **more: Any) -> dict[str, Any]:
        choice = {"index": place, "delta": delta, "logprobs": None, "finish_reason": None, **more}
        return {**known, "choices": [choice]}

    for place in range(talk.wanted.choices):
        yield chunk(place, {"role": "assistant", "content": ""})
    async for piece in talk.pieces():
        if piece.text or piece.words:
            words = {"logprobs": {"content": log_words(piece.words)}} if piece.words else {}
            yield chunk(piece.choice, {"content": piece.text}, **words)
        if piece.finish:
            yield chunk(piece.choice, {}, finish_reason=piece.finish)
    told = counted(talk, request)
    if usage:
        yield {**known, "choices": [], "usage": told}
