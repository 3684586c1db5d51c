"""Texts in, vectors out.

POST /v1/embeddings {"input": ["..."], "model": "faq"}     as OpenAI's clients ask
POST /embed {"inputs": ["..."]}                            as text-embeddings-inference
"""

from __future__ import annotations

import base64
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from weitiao.core.contracts import Task
from weitiao.core.why import reason
from weitiao.serve.guard import Refused
from weitiao.serve.routes.chat import UNHEEDED
from weitiao.serve.routes.rows import MOST_ROWS, predicted
from weitiao.serve.service import Service

Side = Literal["query", "document", "passage"]


class Embeddings(BaseModel):
    """A request of OpenAI's clients."""

    model_config = ConfigDict(extra="forbid")
    model: str | None = None
    input: str | list[str]
    encoding_format: Literal["float", "base64"] = "float"
    input_type: Side = Field("query", description="Are they texts that ask, or such as are to be found?")
    user: str | None = UNHEEDED


class Embed(BaseModel):
    """A request as text-embeddings-inference takes it."""

    model_config = ConfigDict(extra="forbid")
    model: str | None = None
    inputs: str | list[str]
    normalize: bool = True
    prompt_name: Side = "query"


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["embeddings"])

    @router.post("/v1/embeddings", summary="Vectors of texts (OpenAI)")
    async def embeddings(asked: Embeddings, request: Request) -> Any:
        name, vectors = await _vectors(service, request, asked.model, asked.input, asked.input_type)
        data = [
            {
                "object": "embedding",
                "index": place,
                "embedding": vector if asked.encoding_format == "float" else _packed(vector),
            }
            for place, vector in enumerate(vectors)
        ]
        tokens = request.state.facts["prompt_tokens"]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "model": name, "data": data, "usage": usage}

    @router.post("/embed", summary="Vectors of texts (text-embeddings-inference)")
    async def embed(asked: Embed, request: Request) -> Any:
        _, vectors = await _vectors(service, request, asked.model, asked.inputs, asked.prompt_name)
        return [_unit(vector) for vector in vectors] if asked.normalize else vectors

    return router


async def _vectors(
    service: Service, request: Request, name: str | None, given: str | list[str], side: Side
) -> tuple[str, list[list[float]]]:
    texts = [given] if isinstance(given, str) else given
    if not texts or len(texts) > MOST_ROWS:
        raise Refused(422, reason("rows_of_a_request", most=MOST_ROWS), code="invalid_request")
    model = service.model(name, embeds, reason("to_embed"))
    told = await predicted(service, request, model, texts, passages=side != "query")
    for number, one in enumerate(told, start=1):
        if "unusable" in one:
            raise Refused(422, f"{number}: {one['unusable']}", code="unusable")
    return model.name, [one["vector"] for one in told]


def embeds(task: Task) -> bool:
    """Does a task give vectors?"""
    return task.retrieves


def _unit(vector: list[float]) -> list[float]:
    import numpy as np

    found = np.asarray(vector)
    return list((found / max(float(np.linalg.norm(found)), 1e-12)).tolist())


def _packed(vector: list[float]) -> str:
    """Numbers of 32 bits, the least byte first."""
    import numpy as np

    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
