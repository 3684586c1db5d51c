"""Rows in, predictions out.

POST /predict {"inputs": "Great film."}                          ->  [{"label": "good", "score": 0.98}, ...]       as text-embeddings-inference
POST /predict {"model": "reviews", "rows": [{"text": "..."}]}    ->  {"predictions": [{...}]}                      as `Run.predict`
POST /predict/upload (file, file, model)                         ->  {"predictions": [{...}]}                      pictures as files
POST /rerank {"query": "...", "texts": ["...", "..."]}           ->  [{"index": 1, "score": 0.9}, ...]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from fastapi import APIRouter, Form, Request, UploadFile
from pydantic import BaseModel, ConfigDict, Field, model_validator

from weitiao.core.contracts import Task
from weitiao.core.why import reason, unfit
from weitiao.serve import speaking
from weitiao.serve.guard import Refused
from weitiao.serve.jobs import Rows
from weitiao.serve.models import Model
from weitiao.serve.pictures import as_files, as_url, refuse_files, refuse_shown
from weitiao.serve.routes.lists import refuse_unknown
from weitiao.serve.service import Service
from weitiao.stages.asking import read_of

MOST_ROWS = 1024
"""Rows of a request."""


class Predict(BaseModel):
    """Texts, or rows of any columns."""

    model_config = ConfigDict(extra="forbid")
    model: str | None = Field(None, description="Which model; default: the first one.")
    inputs: str | list[str | list[str]] | None = Field(
        None, description="A text, texts, or (for models of two texts) a pair [a, b] or pairs."
    )
    rows: list[dict[str, Any]] | None = Field(
        None,
        min_length=1,
        max_length=MOST_ROWS,
        description="Rows, as the columns that the model was trained on; a picture as a data: URL.",
    )
    columns: dict[str, str] = Field(default_factory=dict, description="Ours -> yours: {'text': 'body'}.")
    max_new_tokens: int | None = Field(None, ge=1, description="Longest answer, of a model that answers.")

    @model_validator(mode="after")
    def _names_columns_of_rows(self) -> Self:
        if self.columns and self.rows is None:
            raise unfit("only_with", key="columns", other="rows")
        return self


class Rerank(BaseModel):
    """A query and passages."""

    model_config = ConfigDict(extra="forbid")
    model: str | None = None
    query: str
    texts: list[str] = Field(min_length=1, max_length=MOST_ROWS)
    return_text: bool = False


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["rows"])

    @router.post("/predict", summary="Label rows, or answer them")
    async def predict(asked: Predict, request: Request) -> Any:
        model = service.model(asked.model, lambda task: True, reason("to_label"))
        if (asked.inputs is None) == (asked.rows is None):
            raise Refused(422, reason("inputs_or_rows"), code="invalid_request")
        if asked.max_new_tokens and not model.run.task.generates:
            raise Refused(422, reason("answers_no_words", model=model.name), code="invalid_request")
        if asked.rows is not None:
            told = await predicted(
                service,
                request,
                model,
                asked.rows,
                columns=asked.columns,
                max_new_tokens=asked.max_new_tokens,
            )
            return {"id": request.state.facts["id"], "model": model.name, "predictions": told}
        alone, rows = _inputs(asked.inputs, model.run.task, read_of(model.run))
        told = await predicted(service, request, model, rows, max_new_tokens=asked.max_new_tokens)
        for one in told:
            if "unusable" in one:
                raise Refused(422, one["unusable"], code="unusable")
        shown = [_ranked(one) for one in told]
        return shown[0] if alone else shown

    @router.post("/predict/upload", summary="Label pictures that come as files")
    async def upload(request: Request, file: list[UploadFile], model: Annotated[str, Form()] = "") -> Any:
        refuse_unknown((await request.form()).keys(), ("file", "model"))
        found = service.model(model, lambda task: len(task.shape.pictures) == 1, reason("to_see"))
        (column,) = found.run.task.shape.pictures
        if len(file) > MOST_ROWS:
            raise Refused(422, reason("rows_of_a_request", most=MOST_ROWS), code="invalid_request")
        rows = [{column: as_url(await one.read())} for one in file]
        told = await predicted(service, request, found, rows)
        return {"id": request.state.facts["id"], "model": found.name, "predictions": told}

    @router.post("/rerank", summary="Order passages by how well they suit a query")
    async def rerank(asked: Rerank, request: Request) -> Any:
        model = service.model(asked.model, _reranks, reason("to_rerank"))
        row = {"query": asked.query, "passages": asked.texts}
        (told,) = await predicted(service, request, model, [row])
        if "unusable" in told:
            raise Refused(422, told["unusable"], code="unusable")
        places: dict[str, list[int]] = {}
        for place, text in enumerate(asked.texts):
            places.setdefault(text, []).append(place)
        found = []
        for one in told["ranking"]:
            place = places[one["passage"]].pop(0)
            found.append({"index": place, "score": one["score"]})
            if asked.return_text:
                found[-1]["text"] = one["passage"]
        return found

    return router


async def predicted(
    service: Service,
    request: Request,
    model: Model,
    rows: Sequence[Any],
    *,
    columns: Mapping[str, str] | None = None,
    passages: bool = False,
    max_new_tokens: int | None = None,
) -> list[dict[str, Any]]:
    """A prediction for every row.

    Raises:
        Refused: as `Service.ask`; 400 for a row that names a file.
        WeitiaoError: as `Run.predict`.
    """
    refuse_files(model.run.task, rows, columns or {})
    request.state.facts |= {"model": model.name, "content": model.content, "rows": len(rows), "texts": rows}
    service.meters.rows.labels(model.name).inc(len(rows))
    longest = max_new_tokens or service.longest
    if model.talks:
        refuse_shown(rows)
        return await speaking.answered(service, request, model, rows, dict(columns or {}), longest)
    words: dict[str, Any] = {"columns": dict(columns or {}), "passages": passages}
    with as_files(model.run.task, rows) as whole:
        # Nothing is waited for from the finding of the model to here: it is not let go meanwhile.
        job = Rows(service.deadline, rows=whole, max_new_tokens=longest, **words)
        told: list[dict[str, Any]] = await service.ask(request, model, job)
    service.meters.tokens.labels(model.name, "prompt").inc(job.tokens)
    request.state.facts |= {"prompt_tokens": job.tokens, "scores": [one.get("score") for one in told]}
    return told


def _inputs(given: Any, task: Task, columns: Sequence[str]) -> tuple[bool, list[Any]]:
    """Texts as rows, and whether one alone was given."""
    two = len(columns) == 2

    def row(one: str | list[str]) -> Any:
        texts = [one] if isinstance(one, str) else one
        if len(texts) == 1 and not two:
            return {task.shape.pictures[0]: texts[0]} if task.shape.pictures else texts[0]
        if len(texts) != 2 or not two:
            raise Refused(422, reason("texts_of_a_row", count=len(columns)), code="invalid_request")
        return dict(zip(columns, texts, strict=True))

    if isinstance(given, str):
        return True, [row(given)]
    if not given or len(given) > MOST_ROWS:
        raise Refused(422, reason("rows_of_a_request", most=MOST_ROWS), code="invalid_request")
    if two and len(given) == 2 and all(isinstance(one, str) for one in given):
        return True, [row(given)]
    return False, [row(one) for one in given]


def _ranked(told: Mapping[str, Any]) -> Any:
    """Labels with their scores, the surest first, where there are some."""
    scores = told.get("scores")
    if not isinstance(scores, Mapping):
        return told
    order = sorted(scores.items(), key=lambda one: -one[1])
    return [{"label": label, "score": score} for label, score in order]


def _reranks(task: Task) -> bool:
    return "passages" in task.shape.columns
