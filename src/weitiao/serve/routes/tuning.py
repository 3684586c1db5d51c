"""Jobs of tuning, by OpenAI's names.

POST /v1/fine_tuning/jobs {"model": "chat", "training_file": "file-5e...", "method": {"type": "supervised"}}
GET /v1/fine_tuning/jobs[/{id}[/events | /checkpoints]]    POST /v1/fine_tuning/jobs/{id}/cancel    DELETE /v1/models/{model}
"""

from __future__ import annotations

import asyncio
import random
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from weitiao.core.why import reason, unfit
from weitiao.models.assets.entries import MODELS
from weitiao.serve.guard import Refused
from weitiao.serve.routes.chat import chats
from weitiao.serve.routes.lists import page, refuse_unknown
from weitiao.serve.service import Service
from weitiao.serve.tuning import told
from weitiao.serve.tuning.files import TRAINS
from weitiao.serve.tuning.held import fresh
from weitiao.serve.tuning.jobs import OPEN, Job
from weitiao.serve.tuning.rows import Way
from weitiao.serve.tuning.tuner import Tuner

Auto = Literal["auto"]
SEEDS = 2**31


class Hyperparameters(BaseModel):
    """How long, how much at once, how fast; `auto`: as `weitiao init` advises."""

    model_config = ConfigDict(extra="forbid")
    n_epochs: Auto | Annotated[int, Field(ge=1, le=1000)] = "auto"
    batch_size: Auto | Annotated[int, Field(ge=1, le=4096)] = "auto"
    learning_rate_multiplier: Auto | Annotated[float, Field(gt=0, le=1000)] = "auto"


class PairHyperparameters(Hyperparameters):
    """The same, and how near the model is held to what it was."""

    beta: Auto | Annotated[float, Field(gt=0, le=2)] = "auto"


class Supervised(BaseModel):
    """Answer as the examples do."""

    model_config = ConfigDict(extra="forbid")
    hyperparameters: Hyperparameters = Hyperparameters()


class Preferred(BaseModel):
    """Prefer the answers that people chose."""

    model_config = ConfigDict(extra="forbid")
    hyperparameters: PairHyperparameters = PairHyperparameters()


class Method(BaseModel):
    """What is learnt."""

    model_config = ConfigDict(extra="forbid")
    type: Way
    supervised: Supervised | None = None
    dpo: Preferred | None = None

    @model_validator(mode="after")
    def _of_its_type(self) -> Self:
        other = "dpo" if self.type == "supervised" else "supervised"
        if getattr(self, other) is not None:
            raise unfit("only_with", key=other, other=f'"type": "{other}"')
        return self


class Create(BaseModel):
    """A job."""

    model_config = ConfigDict(extra="forbid")
    model: str = Field(description="A served model that is talked with, or a name of `weitiao models`.")
    training_file: str
    validation_file: str | None = None
    method: Method | None = None
    hyperparameters: Hyperparameters | None = Field(None, description="The older form of `method`.")
    seed: int | None = Field(None, ge=0, lt=SEEDS)
    suffix: str | None = Field(None, max_length=64, pattern=r"^[\w.-]*$")
    metadata: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]] | None = (
        Field(None, max_length=16)
    )
    integrations: None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.method and self.hyperparameters:
            raise unfit("one_of_two", key="hyperparameters", other="method")
        return self

    def asked(self) -> tuple[Way, dict[str, Any]]:
        """What is learnt, and how."""
        if self.method is None:
            return "supervised", (self.hyperparameters or Hyperparameters()).model_dump()
        default = Supervised() if self.method.type == "supervised" else Preferred()
        return self.method.type, (
            getattr(self.method, self.method.type) or default
        ).hyperparameters.model_dump()


def routes(service: Service, tuner: Tuner) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["tuning"])
    jobs = tuner.jobs

    @router.post("/v1/fine_tuning/jobs", summary="Tune a model on uploaded rows (OpenAI)")
    async def create(asked: Create) -> Any:
        if asked.model not in MODELS:
            service.model(asked.model, chats, reason("to_chat"))
        way, hyperparameters = asked.asked()
        for name in filter(None, (asked.training_file, asked.validation_file)):
            file = tuner.files.get(name)
            if file.purpose != TRAINS or file.way != way:
                raise Refused(400, reason("rows_for_other_way", file=name, way=file.way or "-", asked=way))
        job = Job(
            id=fresh("ftjob"),
            created_at=int(service.now()),
            model=asked.model,
            way=way,
            hyperparameters=hyperparameters,
            seed=random.SystemRandom().randrange(SEEDS) if asked.seed is None else asked.seed,
            training_file=asked.training_file,
            validation_file=asked.validation_file,
            suffix=asked.suffix,
            metadata=asked.metadata,
        )
        await asyncio.to_thread(tuner.add, job)
        return job.told()

    @router.get("/v1/fine_tuning/jobs", summary="All jobs, the newest first (OpenAI)")
    async def listed(
        request: Request, after: str | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 20
    ) -> Any:
        wanted = {
            key[len("metadata[") : -1]: value
            for key, value in request.query_params.items()
            if key.startswith("metadata[") and key.endswith("]")
        }
        keys = [key for key in request.query_params if not key.startswith("metadata[")]
        refuse_unknown(keys, ("after", "limit", "metadata"))
        found = [job for job in jobs.all() if wanted.items() <= (job.metadata or {}).items()]
        return page([job.told() for job in found[::-1]], after=after, limit=limit)

    @router.get("/v1/fine_tuning/jobs/{job_id}", summary="One of them (OpenAI)")
    async def one(job_id: str) -> Any:
        return jobs.get(job_id).told()

    @router.post("/v1/fine_tuning/jobs/{job_id}/cancel", summary="Do it no more (OpenAI)")
    async def cancel(job_id: str) -> Any:
        job = jobs.get(job_id)
        if not await asyncio.to_thread(tuner.cancel, job):
            raise Refused(400, reason("job_has_ended", id=job_id, status=job.status), code="invalid_status")
        return job.told()

    @router.get("/v1/fine_tuning/jobs/{job_id}/events", summary="What happened, the newest first (OpenAI)")
    async def events(
        request: Request,
        job_id: str,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    ) -> Any:
        refuse_unknown(request.query_params.keys(), ("after", "limit"))
        job = jobs.get(job_id)
        found = await asyncio.to_thread(told.events, job, jobs.said(job), tuner.run_of(job))
        return page(found, after=after, limit=limit)

    @router.get("/v1/fine_tuning/jobs/{job_id}/checkpoints", summary="Its checkpoints (OpenAI)")
    async def checkpoints(
        request: Request,
        job_id: str,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    ) -> Any:
        refuse_unknown(request.query_params.keys(), ("after", "limit"))
        job = jobs.get(job_id)
        found = await asyncio.to_thread(told.checkpoints, job, tuner.run_of(job))
        return page(found, after=after, limit=limit)

    @router.delete("/v1/models/{model:path}", summary="Ask a tuned model no more (OpenAI)")
    async def delete(model: str) -> Any:
        job = next((job for job in jobs.all() if job.name == model and job.status not in OPEN), None)
        found = service.models.get(model)
        if job is None:
            raise Refused(403, reason("served_from_the_start", name=model), code="not_tuned_here")
        jobs.change(job, only=("succeeded",), served=False)
        await service.let_go(service.models.hide(found.name))
        return {"id": model, "object": "model", "deleted": True}

    return router
