"""Words about data: guess what it is, write a recipe for it, find it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from weitiao.core import registry
from weitiao.core.contracts import Record, Shape, Task
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.recipe import DEFAULT_METHOD, Data, Recipe
from weitiao.data import check as checking
from weitiao.data import formats
from weitiao.data.ledger import Ledger
from weitiao.data.read import BadRow, read

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress


def guess(data: Data) -> tuple[Shape, str, dict[str, str]]:
    """What the first file's columns suggest: the shape of its rows, their format, and `data.columns`.

    Raises:
        WeitiaoError: `unknown_row_format` when they say nothing.
    """
    source = read(data.train[:1], encoding=data.encoding, format=data.format)[0]
    first = next((item for item in source.rows() if isinstance(item, Record)), None)
    row = first.values if first else None
    found = formats.guess(source.columns, columns=data.columns, asked=data.format, row=row)
    if found is None:
        raise fault("unknown_row_format", path=source.file, found=", ".join(source.columns))
    return found


def task_of(shape: Shape) -> str:
    """The task that learns from rows of this shape.

    Raises:
        WeitiaoError: `no_task` when none on the shelf does.
    """
    if name := learner(shape):
        return name
    raise fault("no_task", shape=shape.name, known=", ".join(registry.names("task")))


def learner(shape: Shape) -> str:
    """The task that learns from rows of this shape; empty when none on the shelf does."""
    # A table is for classification, whatever else might read its text.
    tasks = (name for name in registry.names("task") if registry.build("task", {"name": name}).shape == shape)
    return next(tasks, "")


def init(file: str | Path, *, model: str = "", columns: Mapping[str, str] | None = None) -> str:
    """A commented recipe for a file, with its columns and task guessed.

    Raises:
        WeitiaoError: when the file cannot be read or its columns say nothing; when `model` does not suit the task.
    """
    section = Data(train=[str(file)], columns=dict(columns or {}))
    shape, _, named = guess(located(section))
    section = section.model_copy(update={"columns": named})
    name = task_of(shape)
    asked = bool(model)
    if not model:
        model = suiting(registry.build("task", {"name": name}), checking.inspect(located(section), shape))
    tasks, methods = (
        registry.settings_of(thing, registry.build(shelf, {"name": thing}))
        for shelf, thing in (("task", name), ("method", DEFAULT_METHOD))
    )
    recipe = Recipe(
        model=model,
        task=tasks,
        method=methods,
        data=section,
        output_dir=f"runs/{Path(str(file).partition('#')[0]).stem}",
    )
    if asked:  # a recipe that `train` refuses is no help
        from weitiao.stages.preflight import preflight

        method = registry.build("method", recipe.method)
        preflight(recipe, registry.build("task", recipe.task), method)
    return recipe.to_commented_yaml()


def suiting(task: Task, checked: checking.Checked) -> str:
    """The embedded model that suits rows of this kind and language."""
    from weitiao.data.tfidf import without_spaces

    if task.auto_class == "AutoModelForCausalLM":
        return "smollm2-135m"
    rows, shape = checked.rows, checked.shape
    texts = [shape.key(rows[row].values) for row in range(0, len(rows), max(1, len(rows) // 200))]
    return "e5-small" if without_spaces(texts) else "minilm-l6"


def file_prints(ledger: Ledger) -> str:
    """Hashes of all files that were read."""
    return " ".join(file["sha256"] for file in ledger.files)


def located(data: Data, *, begun_in: str = "", progress: Progress | None = None) -> Data:
    """The section with embedded names replaced by the files they stand for, fetched if need be.

    Args:
        data: the recipe's section.
        begun_in: the folder from which relative paths are meant, if that is another one.
        progress: hears bytes that are fetched.
    """
    from weitiao.models.assets import catalog

    def place(name: str) -> str:
        plain, mark, rows = name.partition("#")
        known = plain in catalog.DATASETS and not Path(plain).exists()
        if known:
            return f"{catalog.dataset_path(plain, progress=progress)}{mark}{rows}"
        there = os.path.join(begun_in, name)
        return there if os.path.exists(there.partition("#")[0]) else name

    named = {side: [place(name) for name in getattr(data, side)] for side in checking.SIDES}
    return data.model_copy(update=named)


def readable(data: Data) -> dict[str, list[int]]:
    """How many rows of each file can be read, by the side that names it.

    Rows that cannot be are in no sample of a file: who looks at a sample alone would not meet them.

    Raises:
        WeitiaoError: `lost_rows` when they are more than `data.max_dropped_fraction`.
    """
    ledger, found = Ledger(), {side: list[int]() for side in checking.SIDES}
    for side, counts in found.items():
        for source in read(getattr(data, side), encoding=data.encoding, format=data.format):
            counts.append(0)
            for row in source.rows():
                ledger.total += 1
                counts[-1] += isinstance(row, Record)
                if isinstance(row, BadRow):
                    ledger.note(row, "dropped", row.reason)
    ledger.refuse_losses(data.max_dropped_fraction)
    return found


def fetch(name: str, *, progress: Progress | None = None) -> Path:
    """Where an embedded model, data set or dictionary lies, fetched and made if need be.

    Raises:
        WeitiaoError: `unknown_name`; what fetching raises (`no_network`, `wrong_hash`, `disk_full`...).
    """
    from weitiao.models.assets import catalog

    if name in catalog.MODELS:
        return catalog.model_path(name, progress=progress)
    if name in catalog.DATASETS:
        return catalog.dataset_path(name, progress=progress)
    if name in catalog.DICTIONARIES:
        return catalog.dictionary_path(name, progress=progress)
    known = [*catalog.MODELS, *catalog.DATASETS, *catalog.DICTIONARIES]
    hint = did_you_mean(name, known)
    raise fault(
        "unknown_name",
        shelf="embedded model, data set or dictionary",
        name=name,
        hint=hint,
        known=", ".join(known),
    )


def lines_of(text: str) -> list[str]:
    """All lines, an empty one too; cut at line feeds alone, since texts may hold other separators (U+2028)."""
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []
