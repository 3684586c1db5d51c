"""Adapters that come and go while others are asked, by vLLM's names.

POST /v1/load_lora_adapter {"lora_name": "reviews", "lora_path": "runs/reviews"}      POST /v1/unload_lora_adapter {"lora_name": "reviews"}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from weitiao.core.why import reason
from weitiao.serve.guard import Refused
from weitiao.serve.models import Model
from weitiao.serve.service import Service


class Load(BaseModel):
    """A run that is to be asked from now on."""

    model_config = ConfigDict(extra="forbid")
    lora_name: str = Field(min_length=1, max_length=100)
    lora_path: str = Field(min_length=1, description="A run folder below that of `--adapters`.")
    load_inplace: bool = Field(False, description="Take the place of the one that has this name.")


class Unload(BaseModel):
    """One that is not to be asked any more."""

    model_config = ConfigDict(extra="forbid")
    lora_name: str


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["adapters"])

    @router.post("/v1/load_lora_adapter", summary="Load an adapter (vLLM)", response_class=PlainTextResponse)
    async def load(asked: Load) -> str:
        path = below(service.adapters, asked.lora_path)
        words: dict[str, Any] = {"name": asked.lora_name, "came_later": True, "instead": asked.load_inplace}

        def come() -> Model | None:
            """The one whose place was taken."""
            there = {model.name: model for model in service.models}.get(asked.lora_name)
            if there is not None and not there.came_later:
                raise Refused(400, reason("served_from_the_start", name=there.name), code="not_loaded_here")
            came = service.models.add(path, now=int(service.now()), **words)
            return None if there is came else there

        if (gone := await service.do(come)) is not None:
            await service.let_go(gone)
        return f"Success: LoRA adapter '{asked.lora_name}' added successfully."

    @router.post(
        "/v1/unload_lora_adapter", summary="Let an adapter go (vLLM)", response_class=PlainTextResponse
    )
    async def unload(asked: Unload) -> str:
        if service.adapters is None:
            raise Refused(403, reason("no_adapters_loaded"), code="not_loaded_here")
        if not service.models.get(asked.lora_name).came_later:
            raise Refused(400, reason("served_from_the_start", name=asked.lora_name), code="not_loaded_here")
        await service.let_go(service.models.hide(asked.lora_name))
        return f"Success: LoRA adapter '{asked.lora_name}' removed successfully."

    return router


def below(folder: Path | None, path: str) -> Path:
    """A path of a request, wherever its links lead.

    Raises:
        Refused: 403 where it is not below the folder, or there is none.
    """
    if folder is None:
        raise Refused(403, reason("no_adapters_loaded"), code="not_loaded_here")
    try:
        found = (folder / path).resolve()
    except (OSError, ValueError):  # a NUL, a circle of links
        found = Path("/")
    if not found.is_relative_to(folder.resolve()) or found == folder.resolve():
        raise Refused(403, reason("not_below", path=path), code="not_loaded_here")
    return found
