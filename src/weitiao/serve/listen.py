"""A server that listens at a port until it is told to end, and then answers whoever still waits.

listen(server, host="127.0.0.1", port=8000, began=print)
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from weitiao.core.errors import fault, need
from weitiao.serve.app import Server

AT_ONCE = 1024
"""Connections that are held at once; further ones are told to come again (503)."""


def listen(server: Server, *, host: str, port: int, began: Callable[[str], None], drain_s: int = 30) -> None:
    """Answer until SIGTERM or SIGINT; then those who wait, for `drain_s` seconds at most.

    Args:
        server: what answers.
        host: the address.
        port: 0: one that is free.
        began: hears the address once it can be asked.
        drain_s: seconds that answers that are being made may still take.

    Raises:
        WeitiaoError: `port_in_use`, `missing_extra`.
    """
    uvicorn = need("uvicorn", extra="serve")
    listener = bound(host, port)
    config = uvicorn.Config(
        server.app,
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=AT_ONCE,
        timeout_graceful_shutdown=drain_s,
        lifespan="off",
    )
    runner = uvicorn.Server(config)
    try:
        address, number = listener.getsockname()[:2]
        began(f"http://{f'[{address}]' if ':' in address else address}:{number}")
        with _told_to_end():
            runner.run(sockets=[listener])
    finally:
        server.close()
        listener.close()


@contextmanager
def _told_to_end() -> Iterator[None]:
    """Being told to end is how a server ends: uvicorn, when all is answered, raises the signal again, which is nothing then."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are another's business
        return
    before = {which: signal.signal(which, _heard) for which in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


def _heard(which: int, frame: Any) -> None:
    """Nothing more is to be done."""


def bound(host: str, port: int) -> Any:
    """A socket that listens there.

    Raises:
        WeitiaoError: `port_in_use`.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(AT_ONCE)
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or str(error)
        raise fault("port_in_use", host=host, port=port, why=why) from error
    return listener
