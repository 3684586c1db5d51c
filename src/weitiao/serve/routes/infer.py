"""KServe's open inference protocol, version 2: columns as tensors of texts.

GET /v2/models/{model}     POST /v2/models/{model}/infer
    {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["Great film."]}]}
        ->  {"outputs": [{"name": "label", "datatype": "BYTES", "shape": [1], "data": ["good"]}, ...]}
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from weitiao.core.why import reason
from weitiao.serve.guard import Refused
from weitiao.serve.routes.rows import MOST_ROWS, predicted
from weitiao.serve.service import Service
from weitiao.stages.asking import read_of

Nothing = Annotated[dict[str, Any] | None, Field(max_length=0, description="None is known here.")]


class Tensor(BaseModel):
    """A column."""

    model_config = ConfigDict(extra="forbid")
    name: str
    datatype: Literal["BYTES"]
    shape: list[int] = Field(min_length=1, max_length=2)
    data: list[str] = Field(min_length=1, max_length=MOST_ROWS)
    parameters: Nothing = None


class Wanted(BaseModel):
    """A column of the answer."""

    model_config = ConfigDict(extra="forbid")
    name: str
    parameters: Nothing = None


class Infer(BaseModel):
    """A request of the protocol."""

    model_config = ConfigDict(extra="forbid")
    id: str | None = Field(None, max_length=100)
    inputs: list[Tensor] = Field(min_length=1)
    outputs: list[Wanted] | None = Field(None, min_length=1, description="Which columns; default: all.")
    parameters: Nothing = None


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["kserve"])

    @router.get("/v2/models/{model:path}/ready", summary="Is it there? (KServe)")
    async def there(model: str) -> Any:
        return {"name": service.models.get(model).name, "ready": service.desk.alive}

    @router.post("/v2/models/{model:path}/infer", summary="Label rows (KServe)")
    async def infer(model: str, asked: Infer, request: Request) -> Any:
        found = service.models.get(model)
        rows = len(asked.inputs[0].data)
        for column in asked.inputs:
            size = 1
            for axis in column.shape:
                size *= axis
            if len(column.data) != rows or size != rows:
                raise Refused(400, reason("columns_of_unlike_length", name=column.name))
        names = [column.name for column in asked.inputs]
        given = [
            dict(zip(names, row, strict=True))
            for row in zip(*(column.data for column in asked.inputs), strict=True)
        ]
        told = await predicted(service, request, found, given)
        for number, one in enumerate(told, start=1):
            if "unusable" in one:
                raise Refused(400, f"{number}: {one['unusable']}", code="unusable")
        columns = list(told[0]) if asked.outputs is None else [wanted.name for wanted in asked.outputs]
        if unknown := [name for name in columns if name not in told[0]]:
            known = ", ".join(told[0])
            raise Refused(400, reason("no_such_output", name=unknown[0], known=known), code="unknown_output")
        outputs = [_output(name, [one.get(name) for one in told]) for name in columns]
        return {"model_name": found.name, "id": asked.id or request.state.facts["id"], "outputs": outputs}

    @router.get("/v2/models/{model:path}", summary="What a model takes and gives (KServe)")
    async def described(model: str) -> Any:
        found = service.models.get(model)
        columns = read_of(found.run)
        return {
            "name": found.name,
            "platform": "weitiao",
            "inputs": [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in columns],
            "outputs": [
                {"name": name, "datatype": "BYTES", "shape": [-1]} for name in found.run.task.predicts
            ],
        }

    return router


def _output(name: str, values: list[Any]) -> dict[str, Any]:
    """Numbers as numbers, texts as texts, whatever else as JSON."""
    if all(isinstance(value, float) for value in values):
        return {"name": name, "datatype": "FP64", "shape": [len(values)], "data": values}
    texts = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]
    return {"name": name, "datatype": "BYTES", "shape": [len(values)], "data": texts}
