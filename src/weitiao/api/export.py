"""The words `export` and `verify`, of a run or of the run in a folder."""

from __future__ import annotations

from pathlib import Path

from weitiao.export import push as pushing
from weitiao.export import verify as verifying
from weitiao.export.writing import Exported
from weitiao.stages.events import Tell
from weitiao.stages.run import Run
from weitiao.stages.runs import load


def export(
    run: Run | str | Path, to: str, *, dtype: str = "", push: str = "", tell: Tell | None = None
) -> Exported:
    """Write a run's model into its `export/`, once it is seen there to answer as the judged one.

    Args:
        run: a run, or its folder.
        to: a form: `torch`, `peft`, `onnx`, `gguf`, `pt2`, `torchscript`, `executorch`.
        dtype: the precision of its weights; default: fp32.
        push: the name (owner/name) under which it goes to the hub, too, with the model's card.
        tell: hears how it goes.

    Raises:
        WeitiaoError: `no_run`; as `Run.export`; `not_pushed`.
    """
    if push:
        pushing.ready(push)
    run = run if isinstance(run, Run) else load(run)
    found: Exported = run.export(to, dtype=dtype, tell=tell)
    if push:
        pushing.push(run, found, push)
    return found


def verify(run: Run | str | Path, *, tell: Tell | None = None) -> list[Exported]:
    """Compare everything under a run's `export/` with its model again.

    Args:
        run: a run, or its folder.
        tell: hears how it goes.

    Raises:
        WeitiaoError: `no_run`, `export_differs`.
    """
    return verifying.verify(run if isinstance(run, Run) else load(run), tell=tell)
