"""The verb `serve`: tuned models, asked over HTTP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from weitiao.cli.options import Base, Verbose


def serve(
    served: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...", help="Run folders, or NAME=FOLDER; adapters of one base share it."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address; another than this machine's own asks for --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free.")] = 8000,
    token: Annotated[
        str, typer.Option(envvar="WEITIAO_TOKEN", help="What whoever asks must bear.", show_envvar=True)
    ] = "",
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name under which it may be asked.")
    ] = None,
    queue: Annotated[
        int, typer.Option(min=1, help="Rows and answers that wait or are being made, at most.")
    ] = 256,
    batch_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens of rows that share a pass, at most.")
    ] = 4096,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds in which a request is answered.")] = 60.0,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, help="Longest answer, where a request does not say.")
    ] = 512,
    body_mb: Annotated[float, typer.Option(min=0.001, help="Megabytes of a request, at most.")] = 16.0,
    log_texts: Annotated[
        bool, typer.Option("--log-texts", help="Write texts of requests into the log, too.")
    ] = False,
    adapters: Annotated[
        Path | None,
        typer.Option(help="Runs below this folder may be loaded while it serves (vLLM's routes)."),
    ] = None,
    backend: Annotated[
        str, typer.Option(help="torch, or the exported form that answers without it: onnx, onnx-int8.")
    ] = "torch",
    tuning: Annotated[
        bool, typer.Option("--tuning", help="Tune models for whoever asks, by OpenAI's fine-tuning API.")
    ] = False,
    runs: Annotated[Path, typer.Option(help="With --tuning: the folder for its runs and files.")] = Path(
        "runs"
    ),
    base: Base = "",
    verbose: Verbose = False,
) -> None:
    """Answer over HTTP for tuned models: OpenAI's routes, /predict, /rerank, /embed, KServe's, and a page to try them."""
    from weitiao import api
    from weitiao.core.why import reason

    api.serve(
        *(served or ()),
        host=host,
        port=port,
        token=token,
        allow_hosts=tuple(allow_host or ()),
        base=base,
        queue=queue,
        batch_tokens=batch_tokens,
        timeout_s=timeout,
        max_new_tokens=max_new_tokens,
        body_mb=body_mb,
        log_texts=log_texts,
        adapters=adapters or "",
        backend=backend,
        tuning=tuning,
        runs=runs,
        began=lambda address: print(reason("serving_at", address=address), file=sys.stderr, flush=True),
    )
