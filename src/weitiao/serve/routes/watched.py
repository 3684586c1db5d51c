"""Is it there, is it ready, what has it done: for those who watch servers.

GET /health   GET /ready   GET /metrics   GET /v2/health/live   GET /v2/health/ready
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from weitiao.core.why import reason
from weitiao.serve.guard import Refused
from weitiao.serve.service import Service


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["health"])

    @router.get("/health", summary="Is the process there?")
    @router.get("/v2/health/live", include_in_schema=False)
    async def health() -> dict[str, Any]:
        return {"status": "ok"}

    @router.get("/ready", summary="Does it answer?")
    @router.get("/v2/health/ready", include_in_schema=False)
    async def ready() -> dict[str, Any]:
        if not service.desk.alive:
            raise Refused(503, reason("server_ends"))
        return {"status": "ready", "models": [model.name for model in service.models]}

    @router.get("/metrics", summary="Counters, in Prometheus' text format", response_class=Response)
    async def metrics() -> Response:
        return Response(service.meters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
