"""Why a model says what it says of a row: what each of its words adds, or each part of its picture.

POST /explain {"model": "reviews", "rows": [{"text": "A dull film."}]}  ->  {"explanations": [{"targets": [...], "shown": [...]}]}
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from weitiao.core.why import reason
from weitiao.serve.guard import Refused
from weitiao.serve.jobs import Order
from weitiao.serve.pictures import as_files, refuse_files
from weitiao.serve.service import Service

MOST_ROWS = 4
"""Of a request: each takes some hundred passes, and nobody is answered meanwhile."""


class Explain(BaseModel):
    """Rows whose prediction is explained."""

    model_config = ConfigDict(extra="forbid")
    model: str | None = Field(None, description="Which model; default: the first one.")
    rows: list[dict[str, Any]] = Field(min_length=1, max_length=MOST_ROWS)
    columns: dict[str, str] = Field(default_factory=dict, description="Ours -> yours: {'text': 'body'}.")
    asked: list[str] = Field(default_factory=list, description="Labels; default: what is predicted.")
    steps: int | None = Field(None, ge=16, le=1024, description="Of the integral, at most.")


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["rows"])

    @router.post(
        "/explain",
        summary="Why a row is labelled as it is: its words, or parts of its picture, and what each adds",
    )
    async def explain(asked: Explain, request: Request) -> Any:
        model = service.model(asked.model, lambda task: not task.generates, reason("to_label"))
        if model.graph is not None:
            raise Refused(400, reason("graph_not_explained", model=model.name), code="unsupported_value")
        refuse_files(model.run.task, asked.rows, asked.columns)
        request.state.facts |= {"model": model.name, "content": model.content, "rows": len(asked.rows)}
        words: dict[str, Any] = {"asked": asked.asked, "steps": asked.steps, "columns": asked.columns or None}

        def found() -> Any:
            if order.gone:
                return None
            with as_files(model.run.task, asked.rows) as rows:
                return [_shown(one) for one in model.switch().explain(rows, **words)]

        order = Order(service.deadline, do=found)
        with service.holding(model):
            told = await service.ordered(request, order)
        return {
            "id": request.state.facts["id"],
            "model": model.name,
            "explanations": told,
        }

    return router


def _shown(found: Any) -> dict[str, Any]:
    """An explanation, and for a page its texts in pieces, each with what it adds, or its picture under the map."""
    from weitiao.evaluate.explain.overlay import drawn
    from weitiao.evaluate.explain.page import paragraphs, trust

    first = found.targets[0] if found.targets else None
    pieces = [] if first is None else [list(each) for each in paragraphs(first, found.texts)]
    laid = drawn(found.image, first.heat) if first and first.heat else None
    told = {**found.to_dict(), "image": ""}  # a file that goes with the request
    return {
        **told,
        "shown": pieces,
        "laid": laid and laid[1],
        "trust": "" if first is None else trust(found, first),
    }
