"""The application: all routes, behind the guard.

serving([("", "runs/reviews"), ("chat", "runs/first-chat")])  ->  Server;  Server.app is an ASGI application, Server.close() ends it
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from weitiao.core.errors import WeitiaoError, fault, need
from weitiao.core.why import why
from weitiao.serve.desk import Desk
from weitiao.serve.guard import Guard, Limits, Refused, said
from weitiao.serve.jobs import Order
from weitiao.serve.meters import Counted, Log, Meters
from weitiao.serve.models import Models
from weitiao.serve.service import Service

if TYPE_CHECKING:
    from weitiao.serve.tuning.jobs import Job
    from weitiao.serve.tuning.tuner import Advise, Train, Tuner

REFUSALS = (400, 401, 403, 404, 408, 413, 422, 429, 500, 503, 504)
"""What a request may be answered with instead, all in one form."""
STATUS = {"unknown_name": 404, "no_run": 404, "missing_extra": 501}
"""Of errors that are not the request's fault, or name what is not there; the others: 400."""
"""Errors of ours that say that something is not there."""

Tuning: TypeAlias = "tuple[Path, Advise, Train]"


@dataclass(frozen=True)
class Server:
    """What answers requests."""

    app: Any
    service: Service
    tuner: Tuner | None = None

    def close(self) -> None:
        """Whoever waits is answered, nobody else is; what is being tuned leaves a checkpoint."""
        if self.tuner is not None:
            self.tuner.close()
        self.service.desk.close()


def serving(
    runs: Sequence[tuple[str, str | Path]],
    *,
    base: str | Path = "",
    limits: Limits | None = None,
    most: int = 256,
    tokens: int = 4096,
    timeout_s: float = 60.0,
    longest: int = 512,
    log_texts: bool = False,
    backend: str = "torch",
    adapters: Path | None = None,
    tuning: Tuning | None = None,
) -> Server:
    """An application that answers for some runs.

    Args:
        runs: a name and a folder of each; without a name it is called as its folder is.
        base: where their base model lies now, if it is found no more.
        limits: who may ask, and how much.
        most: rows and answers that wait or are being made, at most.
        tokens: those of rows that share a pass, at most, unless one alone has more.
        timeout_s: seconds in which a request is answered.
        longest: tokens of an answer, at most, where a request does not say.
        log_texts: are the texts of requests and answers written to `served/log.jsonl` of the run folder, too?
        backend: what answers: the runs' own models, or a form of them in their `export/`.
        adapters: below it lie runs that may be loaded while it serves; None: none may.
        tuning: where runs come to lie that are asked for, what is advised for them, and how they are trained; None: none are.

    Raises:
        WeitiaoError: `missing_extra`; what loading the runs raises.
    """
    fastapi = need("fastapi", extra="serve")
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException

    from weitiao.serve.problems import Problem

    need("python_multipart", extra="serve")
    from weitiao.serve.routes import adapters as loaded
    from weitiao.serve.routes import (
        chat,
        completions,
        embeddings,
        explained,
        feedbacks,
        home,
        infer,
        rows,
        watched,
    )

    meters = Meters()
    models = Models(backend)
    lone = len(runs) == 1 and adapters is None and tuning is None
    for name, run in runs:
        models.add(run, name=name, base=base, now=int(time.time()), lone=lone)
    desk = Desk(most=most, tokens=tokens, heard=meters.waiting.set)
    log = Log(models.home, lost=meters.lost.inc, texts=log_texts)
    service = Service(models, desk, meters, log, timeout_s, longest, adapters)

    # Its own pages of documentation fetch their scripts from elsewhere; ours do not.
    app = fastapi.FastAPI(title="weitiao", docs_url=None, redoc_url=None)
    for part in (watched, home, rows, embeddings, completions, chat, infer, explained, feedbacks, loaded):
        app.include_router(part.routes(service), responses=dict.fromkeys(REFUSALS, {"model": Problem}))

    tuner = None
    if tuning is not None:
        from weitiao.serve.routes import files
        from weitiao.serve.routes import tuning as tunes

        tuner = _tuner(tuning, service)
        for router in (files.routes(tuner), tunes.routes(service, tuner)):
            app.include_router(router, responses=dict.fromkeys(REFUSALS, {"model": Problem}))
        tuner.begin()

    def answer(error: Refused) -> Any:
        body = said(error.why, status=error.status, code=error.code)
        return JSONResponse(body, status_code=error.status, headers=error.headers)

    @app.exception_handler(Refused)
    async def _refused(request: Any, error: Refused) -> Any:
        return answer(error)

    @app.exception_handler(WeitiaoError)
    async def _ours(request: Any, error: WeitiaoError) -> Any:
        status = STATUS.get(error.code, 400)
        # How it is installed names the server's own folders.
        text = error.text().partition("\n")[0] if status == 501 else error.text()
        return answer(Refused(status, text, code=error.code))

    @app.exception_handler(RequestValidationError)
    async def _odd(request: Any, error: RequestValidationError) -> Any:
        lines = [f"{'.'.join(map(str, one['loc']))}: {why(one)}" for one in error.errors()]
        return answer(Refused(422, "\n".join(lines), code="invalid_request"))

    @app.exception_handler(HTTPException)
    async def _http(request: Any, error: HTTPException) -> Any:
        return answer(Refused(error.status_code, str(error.detail), headers=error.headers))

    @app.exception_handler(Exception)
    async def _fault(request: Any, error: Exception) -> Any:
        told = fault("internal", kind=type(error).__name__, why=error)
        return answer(Refused(500, told.text(), code=told.code))

    guarded = Guard(app, limits or Limits())
    return Server(Counted(guarded, meters, service.log), service, tuner)


def _tuner(tuning: Tuning, service: Service) -> Tuner:
    """Who has jobs done, and has what comes of them asked here."""

    def based(name: str) -> tuple[str, Path | None]:
        model = next((model for model in service.models if model.name == name), None)
        return (model.run.where_base_lies(), model.run.path.resolve()) if model else (name, None)

    def serve(job: Job, run: Path) -> None:
        words: dict[str, Any] = {"name": job.name, "now": int(service.now()), "came_later": True}
        order = Order(float("inf"), do=lambda: service.models.add(run, **words))
        service.desk.order(order)
        order.answered.result()

    from weitiao.serve.tuning.tuner import Tuner

    folder, advise, train = tuning
    return Tuner(folder, advise, train, serve, based)
