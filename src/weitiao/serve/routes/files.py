"""Rows that are uploaded to be learnt from, by OpenAI's names.

POST /v1/files (file, purpose)   GET /v1/files   GET /v1/files/{id}   GET /v1/files/{id}/content   DELETE /v1/files/{id}
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request, Response, UploadFile

from weitiao.core.why import reason
from weitiao.serve.guard import Refused
from weitiao.serve.routes.lists import page, refuse_unknown
from weitiao.serve.tuning.files import TRAINS
from weitiao.serve.tuning.rows import Faulty, way_of
from weitiao.serve.tuning.tuner import Tuner


def routes(tuner: Tuner) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["tuning"])
    files = tuner.files

    @router.post("/v1/files", summary="Upload rows to be learnt from (OpenAI)")
    async def upload(file: UploadFile, purpose: Annotated[str, Form()], request: Request) -> Any:
        refuse_unknown((await request.form()).keys(), ("file", "purpose"))
        if purpose != TRAINS:
            raise Refused(400, reason("only_to_train", purpose=purpose), code="unsupported_value")
        raw = await file.read()
        try:
            way = await asyncio.to_thread(way_of, raw)
        except Faulty as error:
            raise Refused(400, str(error), code="invalid_file_format") from None
        kept = await asyncio.to_thread(files.add, file.filename or "rows.jsonl", raw, way=way)
        return kept.told()

    @router.get("/v1/files", summary="Files that were uploaded (OpenAI)")
    async def listed(
        request: Request,
        purpose: str | None = None,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
        order: Literal["asc", "desc"] = "desc",
    ) -> Any:
        refuse_unknown(request.query_params.keys(), ("purpose", "after", "limit", "order"))
        found = [file.told() for file in files.all() if purpose in (None, file.purpose)]
        return page(found if order == "asc" else found[::-1], after=after, limit=limit)

    @router.get("/v1/files/{file_id}", summary="One of them (OpenAI)")
    async def one(file_id: str) -> Any:
        return files.get(file_id).told()

    @router.get("/v1/files/{file_id}/content", summary="What stands in it (OpenAI)")
    async def content(file_id: str) -> Response:
        return Response(await asyncio.to_thread(files.content, file_id), media_type="application/jsonl")

    @router.delete("/v1/files/{file_id}", summary="Delete a file (OpenAI)")
    async def delete(file_id: str) -> Any:
        await asyncio.to_thread(files.delete, file_id)
        return {"id": file_id, "object": "file", "deleted": True}

    return router
