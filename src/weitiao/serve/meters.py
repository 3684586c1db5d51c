"""What is counted, in Prometheus' text format, and what is written down of each request.

Counted(app, meters, log)     an ASGI application around another, which every request goes through
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from weitiao.core.errors import need

SERVED = "served"
"""The folder of a run that holds what was asked of it, and what was said of its answers."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Meters:
    """Counters of this server; two servers in one process have their own."""

    def __init__(self) -> None:
        prom = need("prometheus_client", extra="serve")
        self._prom, self.registry = prom, prom.CollectorRegistry()
        words: dict[str, Any] = {"registry": self.registry}
        labels = ["route", "model"]
        self.requests = prom.Counter("weitiao_requests", "Requests answered.", [*labels, "status"], **words)
        self.seconds = prom.Histogram(
            "weitiao_request_seconds",
            "Seconds from a request to the end of its answer.",
            labels,
            buckets=SECONDS,
            **words,
        )
        self.tokens = prom.Counter(
            "weitiao_tokens", "Tokens read (prompt) and written (completion).", ["model", "kind"], **words
        )
        self.rows = prom.Counter("weitiao_rows", "Rows that were asked.", ["model"], **words)
        self.lost = prom.Counter("weitiao_log_lost", "Lines of the log that could not be written.", **words)
        self.waiting = prom.Gauge("weitiao_waiting", "Rows and answers that wait or are being made.", **words)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        found: bytes = self._prom.generate_latest(self.registry)
        return found


class Log:
    """A line of JSON for every request that asked a model, in its run folder: `served/log.jsonl`.

    Its number, when, how long, how much; no text, unless that was asked for.

    Args:
        home: where a model's run lies, by its content; None: it has none.
        lost: hears that a line could not be written; the answer is given all the same.
        texts: are texts of requests and answers written, too?
    """

    def __init__(
        self, home: Callable[[str], Path | None], *, lost: Callable[[], None], texts: bool = False
    ) -> None:
        self.home, self.lost, self.texts = home, lost, texts
        self._lock = threading.Lock()

    def write(self, line: Mapping[str, Any]) -> None:
        """One line."""
        home = self.home(str(line.get("content", "")))
        if home is None:
            return
        told = line if self.texts else {name: value for name, value in line.items() if name != "texts"}
        try:
            with self._lock:
                (home / SERVED).mkdir(parents=True, exist_ok=True)
                with (home / SERVED / "log.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(told, ensure_ascii=False, default=str) + "\n")
        except OSError:
            self.lost()


class Counted:
    """An application whose requests are numbered, counted and written down."""

    def __init__(
        self,
        app: Callable[[Any, Any, Callable[[Any], Awaitable[None]]], Awaitable[None]],
        meters: Meters,
        log: Log,
    ):
        self.app, self.meters, self.log = app, meters, log

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        number, began, status = uuid.uuid4().hex, time.monotonic(), 500
        facts: dict[str, Any] = {"id": number}
        scope.setdefault("state", {})["facts"] = facts

        async def sent(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                told = {"x-request-id": number, "x-model-content": facts.get("content")}
                more = [(name.encode(), str(value).encode()) for name, value in told.items() if value]
                message["headers"] = [*message.get("headers", []), *more]
            await send(message)

        try:
            await self.app(scope, receive, sent)
        finally:
            took = time.monotonic() - began
            # An address that is none would make a counter of its own for whatever anybody types.
            route = getattr(scope.get("route"), "path", "other")
            model = str(facts.get("model", ""))
            self.meters.requests.labels(route, model, str(status)).inc()
            self.meters.seconds.labels(route, model).observe(took)
            line = {"time": time.time(), "route": route, "status": status, "seconds": round(took, 6)}
            self.log.write({"id": number, **line, **facts})
