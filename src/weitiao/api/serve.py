"""Runs served over HTTP.

serve("runs/reviews", "runs/chat", port=8000)
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.errors import did_you_mean, fault
from weitiao.core.gc_pause import paused, stays
from weitiao.core.why import because

if TYPE_CHECKING:
    from weitiao.serve.app import Server, Tuning

BACKENDS = ("torch", "onnx", "onnx-int8")


@dataclass(frozen=True)
class Bounds:
    """How much a server takes on, and from whom."""

    queue: int = 256
    """Rows and answers that wait or are being made, at most."""
    batch_tokens: int = 4096
    """Those of rows that share a pass, at most."""
    timeout_s: float = 60.0
    """Seconds in which a request is answered."""
    max_new_tokens: int = 512
    """Longest answer, where a request does not say."""
    body_mb: float = 16.0
    """Megabytes of a request, at most."""
    allow_hosts: tuple[str, ...] = ()
    """Further names under which it may be asked."""
    log_texts: bool = False
    """Are texts written into the log, too?"""
    adapters: str | Path = ""
    """Below this folder lie runs that may be loaded while it serves; empty: none may."""
    backend: str = "torch"
    """What answers: the runs' own models, or the form of that name that `weitiao export` has written."""
    tuning: bool = False
    """Are models tuned for whoever asks, too?"""
    runs: str | Path = "runs"
    """Where the runs of these come to lie."""


def serve(
    *runs: str | Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str = "",
    base: str | Path = "",
    began: Callable[[str], None] = lambda address: None,
    **limits: Any,
) -> None:
    """Answer over HTTP for tuned models, until SIGTERM or Ctrl-C; whoever waits then is answered.

    Args:
        runs: run folders, or `name=folder`; adapters of one base share it.
        host: the address; another than this machine's own asks for a token.
        port: 0: one that is free.
        token: what whoever asks must bear.
        base: where their base model lies now, if it is found no more.
        began: hears the address.
        limits: `Bounds`: `queue`, `batch_tokens`, `timeout_s`, `max_new_tokens`, `body_mb`, `allow_hosts`, `log_texts`,
            `adapters`, `backend`, `tuning`, `runs`.

    Raises:
        WeitiaoError: `wrong_usage` where there is nothing to serve, `no_run`, `name_taken`, `port_in_use`, `open_without_token`, `missing_extra`.
    """
    bounds = Bounds(**limits)
    if bounds.backend not in BACKENDS:
        known, hint = ", ".join(BACKENDS), did_you_mean(bounds.backend, BACKENDS)
        raise fault("unknown_name", shelf="backend", name=bounds.backend, hint=hint, known=known)
    if not runs and not bounds.adapters and not bounds.tuning:
        raise fault("wrong_usage", **because("nothing_to_serve"))
    with ExitStack() as listening:
        # What is imported and loaded now stays: the collector, called by all of it and then by every request, need not look.
        with paused():
            from weitiao.serve.listen import listen

            server = _loaded(runs, bounds, host=host, port=port, token=token, base=base)
            listening.enter_context(stays())
        listen(server, host=host, port=port, began=began)


def _loaded(
    runs: tuple[str | Path, ...], bounds: Bounds, *, host: str, port: int, token: str, base: str | Path
) -> Server:
    from weitiao.serve.app import serving
    from weitiao.serve.guard import AT_HOME, Limits
    from weitiao.serve.listen import bound

    at_home = host in AT_HOME
    if not at_home and not token:
        raise fault("open_without_token", host=host)
    # Before models are loaded, which takes seconds.
    bound(host, port).close()
    named: list[tuple[str, str | Path]] = []
    for run in runs:
        name, equals, folder = str(run).partition("=")
        named.append((name, folder) if equals and not Path(str(run)).exists() else ("", run))
    return serving(
        named,
        base=base,
        limits=Limits(
            token=token,
            hosts=(*AT_HOME, *bounds.allow_hosts) if at_home or bounds.allow_hosts else (),
            body_mb=bounds.body_mb,
        ),
        most=bounds.queue,
        tokens=bounds.batch_tokens,
        timeout_s=bounds.timeout_s,
        longest=bounds.max_new_tokens,
        log_texts=bounds.log_texts,
        backend=bounds.backend,
        adapters=Path(bounds.adapters) if bounds.adapters else None,
        tuning=_tuning(Path(bounds.runs)) if bounds.tuning else None,
    )


def _tuning(runs: Path) -> Tuning:
    from weitiao.api.tuning import advised, apart

    return runs, advised, apart
