"""Runs by the folders that they lie in.

load("runs/reviews")     ->  the run, or a variant of it
runs("runs")             ->  all below a folder
speaker("runs/chat")     ->  whoever answers in it, or in a base language model
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from weitiao.core import registry
from weitiao.core.run import RunFolder, open_run
from weitiao.stages.for_use import for_use
from weitiao.stages.recorded import run_around
from weitiao.stages.run import Run, labels_alone

if TYPE_CHECKING:
    from weitiao.models.precision import Half
    from weitiao.stages.speaker import Speaker


def load(path: str | Path, *, base: str | Path = "") -> Run:
    """The run in a folder.

    Args:
        path: the run folder, or a folder in it that holds its model in another form (`weitiao merge RUN -o RUN/merged`).
        base: where the model that was tuned lies now, if that is not where it lay, nor in the same place beside the run.

    Raises:
        WeitiaoError: `no_run`.
    """
    above, variant = run_around(Path(path))
    run = Run(open_run(above), base=base)
    return run.as_variant(variant) if variant else run


def runs(folder: str | Path = "runs") -> list[Run]:
    """Every run directly below a folder, newest first."""
    found = sorted(Path(folder).glob("*/recipe.yaml"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [Run(RunFolder(path.parent)) for path in found]


def speaker(ref: str, *, base: str | Path = "") -> Speaker:
    """A run of a generative task (`base` as in `load`), or a base language model, ready to answer.

    Raises:
        WeitiaoError: `wrong_usage` when the run labels instead of answering; what loading raises.
    """
    from weitiao.models.load import fast_bf16, pick_device
    from weitiao.models.store import open_base
    from weitiao.stages.speaker import Speaker

    if (Path(ref) / "recipe.yaml").is_file():
        run = load(ref, base=base)
        if not run.task.generates:
            raise labels_alone(ref)
        return run.speaker
    device = pick_device()
    half: Half | None = "bfloat16" if fast_bf16(device) else None
    task = registry.build("task", {"name": "sft"})
    untuned = open_base(ref, task, half=half, device=device)
    return Speaker(for_use(untuned, half=half), task, device, half, limit=untuned.limit)
