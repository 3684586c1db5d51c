"""Who may ask, and how much: checked before a request reaches the application.

    Guard(app, Limits(token="..."))     an ASGI application around another

A page of another site may make a browser ask a server on its own machine, by a name that leads there (DNS rebinding); so
who is asked by another name than its own, or from a page of another, gives no answer.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from weitiao.core.why import reason

Message: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[[Any, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Any]

OPEN = ("/", "/docs", "/openapi.json", "/health", "/ready", "/v2/health/live", "/v2/health/ready")
"""What says nothing of models or rows."""
AT_HOME = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Limits:
    """What a request may be."""

    token: str = ""
    """Whoever asks must bear it; empty: anybody may ask."""
    hosts: tuple[str, ...] = AT_HOME
    """Names under which it may be asked; empty: any."""
    body_mb: float = 16.0
    """Megabytes of a request, at most."""
    body_s: float = 30.0
    """Seconds in which a request must have come whole."""


class Refused(Exception):
    """A request is not answered: a status of HTTP, and why."""

    def __init__(
        self, status: int, why: str, *, code: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(why)
        self.status, self.why, self.code, self.headers = status, why, code, dict(headers or {})


class Guard:
    """An application that lets in who may ask.

    Args:
        app: the application behind it.
        limits: what a request may be.
        refused: hears the status of each request that is not let in.
    """

    def __init__(self, app: App, limits: Limits, refused: Callable[[int], None] = lambda status: None):
        self.app, self.limits, self.refused = app, limits, refused

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            self._check(scope)
            body = await self._body(scope, receive)
        except Refused as error:
            self.refused(error.status)
            await _answer(send, error.status, error.why)
            return
        whole = False

        async def received() -> Message:
            nonlocal whole
            if whole:
                return await receive()  # the next thing that comes: whoever asked has gone
            whole = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, received, send)

    def _check(self, scope: Any) -> None:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        host = headers.get("host", "")
        if self.limits.hosts and _name(host) not in self.limits.hosts:
            raise Refused(403, reason("other_host", host=host or "-"))
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise Refused(403, reason("other_origin", origin=origin))
        if self.limits.token and scope["path"] not in OPEN:
            said = headers.get("authorization", "").removeprefix("Bearer ").strip()
            if not hmac.compare_digest(said.encode(), self.limits.token.encode()):
                raise Refused(401, reason("token_wanted"))
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.limits.body_mb * 1e6:
            raise Refused(413, self._too_large())

    def _too_large(self) -> str:
        return reason("body_too_large", mb=f"{self.limits.body_mb:g}")

    async def _body(self, scope: Any, receive: Any) -> bytes:
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.limits.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(408, reason("body_too_slow", seconds=f"{self.limits.body_s:g}"))
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self.limits.body_mb * 1e6:
                        raise Refused(413, self._too_large())
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            raise Refused(408, reason("body_too_slow", seconds=f"{self.limits.body_s:g}")) from None


def _name(host: str) -> str:
    """A host without its port: `localhost:8000`, `[::1]:8000`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def said(message: str, *, status: int, code: str = "") -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code or str(status)}}


async def _answer(send: Any, status: int, why: str) -> None:
    body = json.dumps(said(why, status=status), ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status in (408, 413):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
