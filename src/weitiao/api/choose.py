"""Which base model and method, before anything is tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from weitiao.forecast.plan import plans
from weitiao.study.choice.choose import Choice
from weitiao.study.choice.choose import choose as chosen

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress
    from weitiao.stages.events import Tell


def choose(
    file: str | Path,
    *,
    task: str = "",
    models: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    minutes: float | None = None,
    memory_mb: float | None = None,
    rows: int | None = None,
    tell: Tell | None = None,
    progress: Progress | None = None,
) -> Choice:
    """Rank base models and methods for a file, say why, and when fine-tuning is not the answer; nothing is tuned.

    Args:
        file: rows, or the name of an embedded data set; `#500` behind it takes a sample.
        task: guessed from the columns when empty.
        models: embedded names, folders, hub ids; default: the embedded ones of the task.
        columns: ours=theirs.
        overrides: `key=value` words for the recipe, such as `data.max_length=128`.
        minutes: that training may take.
        memory_mb: that it may take; default: what is free.
        rows: so many are asked, at most; default: by their kind, 100 to 1,000.
        tell: hears what happens.
        progress: hears bytes that are fetched.  Without both, standard error says how it goes.

    Returns:
        The choice: `results`, `recipe`, `write("recipe.yaml")`, `write_page("choice.html")`, `instead`.

    Raises:
        WeitiaoError: what is wrong with the file; `unprobed_task`; what is wrong with the first model, where none can be opened.
    """
    return chosen(
        file,
        costs=plans,
        task=task,
        models=models,
        columns=columns,
        overrides=overrides,
        minutes=minutes,
        memory_mb=memory_mb,
        rows=rows,
        tell=tell,
        progress=progress,
    )
