"""The page on which a model is tried, what there is to be asked, and how.

GET /     GET /docs     GET /v1/models     GET /v1/models/{model}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from weitiao.core.errors import language
from weitiao.core.page import render
from weitiao.core.worded import words
from weitiao.serve.models import Model
from weitiao.serve.service import Service
from weitiao.stages.asking import read_of

HERE = Path(__file__).parents[1]


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["models"])

    @router.get("/", include_in_schema=False, response_class=HTMLResponse)
    async def page() -> str:
        return render(HERE, "page.html.j2", {"w": words("weitiao.serve", language()), "lang": language()})

    @router.get("/docs", include_in_schema=False, response_class=HTMLResponse)
    async def docs(request: Request) -> str:
        values = {
            "w": words("weitiao.serve", language()),
            "lang": language(),
            "routes": _listed(request.app.openapi()),
        }
        return render(HERE, "docs.html.j2", values)

    @router.get("/v1/models", summary="Which models there are (OpenAI)")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [_told(model) for model in service.models]}

    @router.get("/v1/models/{model:path}", summary="One of them (OpenAI)")
    async def model(model: str) -> dict[str, Any]:
        return _told(service.models.get(model))

    return router


def _told(model: Model) -> dict[str, Any]:
    task = model.run.task
    kind = "chat" if task.chats else "write" if task.generates else "embed" if task.retrieves else "label"
    return {
        "id": model.name,
        "object": "model",
        "created": model.since,
        "owned_by": "weitiao",
        "task": model.run.recipe.task["name"],
        "kind": kind,
        "columns": [] if task.generates else read_of(model.run),
        "pictures": list(task.shape.pictures),
    }


def _listed(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Every route of an OpenAPI schema, with what it takes."""
    return [
        {
            "method": method.upper(),
            "path": path,
            "summary": told.get("summary", ""),
            "takes": _taken(told, schema),
        }
        for path, methods in schema["paths"].items()
        for method, told in methods.items()
    ]


def _taken(told: dict[str, Any], schema: dict[str, Any]) -> dict[str, str]:
    """The keys of a request's body, and what is to be said of them; none where nothing else than null may stand there."""
    for body in told.get("requestBody", {}).get("content", {}).values():
        name = body["schema"].get("$ref", "").rpartition("/")[2]
        keys = schema["components"]["schemas"].get(name, {}).get("properties", {})
        return {key: at.get("description", "") for key, at in keys.items() if at.get("type") != "null"}
    return {}
