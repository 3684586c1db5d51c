"""Runs served over HTTP.

serve("runs/reviews", "runs/chat", port=8000)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from weitiao.core.errors import fault


def serve(
    *runs: str | Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str = "",
    allow_hosts: tuple[str, ...] = (),
    base: str | Path = "",
    queue: int = 256,
    batch_tokens: int = 4096,
    timeout_s: float = 60.0,
    max_new_tokens: int = 512,
    body_mb: float = 16.0,
    log_texts: bool = False,
    began: Callable[[str], None] = lambda address: None,
) -> None:
    """Answer over HTTP for tuned models, until SIGTERM or Ctrl-C; whoever waits then is answered.

    Args:
        runs: run folders, or `name=folder`; adapters of one base share it.
        host: the address; another than this machine's own asks for a token.
        port: 0: one that is free.
        token: what whoever asks must bear.
        allow_hosts: further names under which it may be asked.
        base: where their base model lies now, if it is found no more.
        queue: rows and answers that wait or are being made, at most.
        batch_tokens: those of rows that share a pass, at most.
        timeout_s: seconds in which a request is answered.
        max_new_tokens: longest answer, where a request does not say.
        body_mb: megabytes of a request, at most.
        log_texts: are texts written into the log, too?
        began: hears the address.

    Raises:
        WeitiaoError: `no_run`, `name_taken`, `port_in_use`, `open_without_token`, `missing_extra`; what loading raises.
    """
    from weitiao.serve.app import serving
    from weitiao.serve.guard import AT_HOME, Limits
    from weitiao.serve.listen import bound, listen

    at_home = host in AT_HOME
    if not at_home and not token:
        raise fault("open_without_token", host=host)
    # Before models are loaded, which takes seconds.
    bound(host, port).close()
    named: list[tuple[str, str | Path]] = []
    for run in runs:
        name, equals, folder = str(run).partition("=")
        named.append((name, folder) if equals and not Path(str(run)).exists() else ("", run))
    server = serving(
        named,
        base=base,
        limits=Limits(
            token=token,
            hosts=(*AT_HOME, *allow_hosts) if at_home or allow_hosts else (),
            body_mb=body_mb,
        ),
        most=queue,
        tokens=batch_tokens,
        timeout_s=timeout_s,
        longest=max_new_tokens,
        log_texts=log_texts,
    )
    listen(server, host=host, port=port, began=began)
