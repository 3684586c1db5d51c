"""The tuned model as a plain one, in a folder that is there already."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from weitiao.core.why import reason
from weitiao.export import pictures
from weitiao.models import seeing
from weitiao.stages import merge

if TYPE_CHECKING:
    from weitiao.stages.run import Run


def unfoldable(run: Run, *, sees: bool = False) -> str:
    """Why a plain model cannot be had of it; empty when it can.

    Args:
        run: whose model.
        sees: can the form read a picture, which says itself what it shows?
    """
    if why := unseen(run, sees=sees):
        return why
    return "" if run.method.foldable else reason("form_not_folded", method=run.recipe.method["name"])


def unseen(run: Run, *, sees: bool = False) -> str:
    """Why the rows of a run cannot be read; empty when they can.

    Args:
        run: whose rows.
        sees: as `unfoldable`.
    """
    task = run.task
    if task.shape.pictures or any((run.folder.model / name).is_file() for name in seeing.FILES):
        if not sees or task.generates or task.library:
            return reason("form_not_pictures")
        return pictures.why_not(run)
    return ""


def folded(run: Run, folder: Path, *, dtype: str = "float32") -> None:
    """Write config, weights and tokenizer into `folder`.

    Raises:
        WeitiaoError: as `stages.merge.merge`.
    """
    aside = folder / "merged"
    merge.merge(run, aside, task=run.task, method=run.method, base=run.base, dtype=dtype)
    for path in aside.iterdir():
        os.replace(path, folder / path.name)
    shutil.rmtree(aside)
