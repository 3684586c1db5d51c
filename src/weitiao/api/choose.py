"""Which base model and method, before anything is tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from weitiao.forecast.plan import plans
from weitiao.stages.in_memory import named_as_given, named_files, renamed, rows_to_file
from weitiao.study.choice.choose import Choice
from weitiao.study.choice.choose import choose as chosen

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress
    from weitiao.stages.events import Tell

IN_MEMORY = "output_dir=runs/chosen"
"""Where a run on rows in memory is to lie, if nobody says."""


def choose(
    file: Any,
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
        file: a file or several, or the name of an embedded data set; `#500` behind it takes a sample.  Rows in memory (a
            pandas table, a `datasets.Dataset`, a list of dicts) are written into the folder of the run that is to be
            (`output_dir`, by default `runs/chosen`), so that the recipe finds them.
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
    given: dict[str, str] = {}
    if not named_files(file) or not file:
        overrides = [IN_MEMORY, *overrides]
        tree, given = rows_to_file({"model": "-", "task": task or "-", "data": file}, overrides)
        file = tree["data"]["train"]
    with named_as_given(given):
        found = chosen(
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
    found.results["file"] = renamed(found.results["file"], given)
    return found
