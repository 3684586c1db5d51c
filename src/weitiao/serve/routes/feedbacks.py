"""What users say of answers: kept on disk before they are thanked.

POST /v1/feedback {"id": "chatcmpl-...", "thumb": "down", "answer": "what would have been right"}
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from weitiao.core.files import disk
from weitiao.core.why import reason, unfit
from weitiao.serve.meters import SERVED
from weitiao.serve.service import Service


class Feedback(BaseModel):
    """What somebody says of an answer."""

    model_config = ConfigDict(extra="forbid")
    id: str = Field(min_length=1, max_length=100, pattern=r"^[\w-]+$", description="Of the answer.")
    model: str | None = Field(None, max_length=100)
    thumb: Literal["up", "down"] | None = None
    label: str | list[str] | float | None = Field(None, description="The right label or number.")
    answer: str | None = Field(None, description="The right answer.")
    comment: str | None = Field(None, max_length=10_000)
    row: dict[str, Any] | None = Field(None, description="The row that was asked, if it may be kept.")

    @model_validator(mode="after")
    def _says_something(self) -> Feedback:
        if self.thumb is None and self.label is None and self.answer is None and self.comment is None:
            raise unfit("feedback_of_nothing")
        return self


class Kept:
    """A file of feedback, one JSON line each; the same said twice is kept once."""

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.Lock()
        self._known: set[str] = set()
        if path.is_file():
            # A line that was being written when the process died was never thanked for.
            whole = path.read_bytes()
            self._known = {_print(line) for line in whole.split(b"\n")[:-1]}
            if whole and not whole.endswith(b"\n"):
                with path.open("r+b") as file:
                    file.truncate(whole.rfind(b"\n") + 1)

    def add(self, said: dict[str, Any]) -> bool:
        """Is it new?  It is on disk when this returns."""
        told = json.dumps(said, ensure_ascii=False, sort_keys=True)
        with self._lock, disk(self.path):
            if (known := hashlib.sha256(told.encode()).hexdigest()) in self._known:
                return False
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                line = {"time": time.time(), **said}
                file.write(json.dumps(line, ensure_ascii=False, sort_keys=True).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            self._known.add(known)
            return True


def _print(line: bytes) -> str:
    said = json.loads(line)
    said.pop("time", None)
    return hashlib.sha256(json.dumps(said, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["feedback"])
    files: dict[Path, Kept] = {}
    lock = threading.Lock()

    def keep(path: Path, said: dict[str, Any]) -> bool:
        with lock:
            kept = files.setdefault(path, Kept(path))
        return kept.add(said)

    @router.post("/v1/feedback", summary="Say whether an answer was right")
    async def feedback(asked: Feedback) -> dict[str, Any]:
        model = service.model(asked.model, lambda task: True, reason("to_label"))
        said = asked.model_dump(exclude_none=True) | {"model": model.name}
        path = model.run.path / SERVED / "feedback.jsonl"
        return {"id": asked.id, "kept": True, "new": await asyncio.to_thread(keep, path, said)}

    return router
