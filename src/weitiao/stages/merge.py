"""A tuned model as a plain one: what was trained is folded into the base's weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from weitiao.core.contracts import Method, Task
from weitiao.core.errors import fault
from weitiao.core.files import refuse_unwritable
from weitiao.core.why import because

if TYPE_CHECKING:
    from weitiao.stages.recorded import Recorded


def refuse(folder: Path, *, dtype: str | None) -> None:
    """What can be refused before a model is looked at.

    Raises:
        WeitiaoError: `wrong_usage`; what `refuse_unwritable` raises.
    """
    from weitiao.models.stored import KNOWN

    if dtype is not None and dtype not in KNOWN.values():
        known = ", ".join(KNOWN.values())
        raise fault("wrong_usage", **because("no_such_dtype", dtype=dtype, known=known))
    if folder.exists():
        raise fault("wrong_usage", **because("folder_there", path=folder))
    refuse_unwritable(folder)


def merge(
    run: Recorded, folder: Path, *, task: Task, method: Method, base: str | Path, dtype: str | None
) -> Path:
    """As `Run.merge`, where `refuse` had nothing to say.

    Args:
        run: whose model.
        folder: where it goes.
        task: what it learnt.
        method: how.
        base: where its base lies now, if not where it lay.
        dtype: its precision; default: the base's.

    Raises:
        WeitiaoError: as `Run.merge`.
    """
    from weitiao.models import store

    recipe = run.recipe
    if not method.foldable:
        raise fault("wrong_usage", **because("not_foldable", method=recipe.method["name"], run=run.path))
    loaded = store.load_tuned(run.folder.model, ref=recipe.model, task=task, method=method, base=base)
    loaded.model = method.fold(loaded.model)
    most = loaded.limit - method.positions
    files = task.files(loaded.model, limit=min(recipe.data.max_length or most, most))
    store.save_plain(folder, loaded, task, precision=dtype, files=files)
    return folder
