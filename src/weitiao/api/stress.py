"""A stress test of a run, or of the run in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from weitiao.stages.run import Run
from weitiao.stages.runs import load
from weitiao.stages.stress import Stress


def stress(run: Run | str | Path, **options: Any) -> Stress:
    """Ask a run's model its locked test rows again, written otherwise, and write what that changes.

    Args:
        run: a run that is trained, or its folder, or that of a variant in it.
        options: those of `Run.stress`: `rows`, `rate`, `untuned`, `group_column`, `groups`, `tell`.

    Returns:
        What was found.

    Raises:
        WeitiaoError: `no_run`; as `Run.stress`.
    """
    return (run if isinstance(run, Run) else load(run)).stress(**options)
