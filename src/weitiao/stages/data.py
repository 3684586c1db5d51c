"""The data of a recipe: what they are, who learns from them, where they lie, how many rows can be read."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Record, Shape, Task
from weitiao.core.errors import fault
from weitiao.core.recipe import Data
from weitiao.data import check as checking
from weitiao.data import formats
from weitiao.data.ledger import Ledger, named_rows
from weitiao.data.read import BadRow, read
from weitiao.data.read_as import read_as

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress


LOOKED_AT = 100
"""Rows of a file that say what its columns hold."""


def guess(data: Data) -> tuple[Shape, dict[str, Any]]:
    """What the first file's columns and rows suggest: the shape of its rows, and keys of the section: `columns`, `decimal`.

    Raises:
        WeitiaoError: `unknown_row_format` when they say nothing; `bad_rows` when no row can be read.
    """
    source = read(data.train[:1], encoding=data.encoding, format=data.format)[0]
    rows = list(islice((item.values for item in source.rows() if isinstance(item, Record)), LOOKED_AT))
    found = formats.guess(source.columns, columns=data.columns, asked=data.format, rows=rows)
    if found is None and not rows:
        # Not one row can be read: what is wrong with them says more than that they have no columns.
        bad = [vars(row) for row in source.rows() if isinstance(row, BadRow)]
        if bad:
            raise fault("bad_rows", count=len(bad), total=len(bad), rows=named_rows(bad))
    if found is None:
        raise formats.unknown(source.file, source.columns, rows)
    shape, name, columns = found
    number = formats.FORMATS[name].number
    keys: dict[str, Any] = {"columns": columns}
    if number and "decimal" not in data.model_fields_set:
        keys["decimal"] = formats.decimal_of([row.get(columns.get(number, number)) for row in rows])
    return shape, keys


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


def suiting(task: Task, checked: checking.Checked) -> str:
    """The embedded model that suits rows of this kind and of most rows' script and language."""
    from weitiao.data.doctor.scripts import STOP, main_script

    if task.auto_class == "AutoModelForCausalLM":
        return "smollm2-135m"
    rows, shape = checked.rows, checked.shape
    texts = [
        " ".join(shape.texts(rows[row].values).values())
        for row in range(0, len(rows), max(1, len(rows) // 200))
    ]
    scripts = Counter(main_script(text) for text in texts)
    latin = scripts["Latin"] + scripts[""]  # numbers and signs are in any vocabulary
    # One short row seldom tells its language, all together do; where none is told they count as English.
    spoken: Counter[str] = Counter()
    for word in " ".join(texts).lower().split():
        spoken.update(STOP.get(word, ()))
    english = spoken["en"] >= max(spoken.values(), default=0)
    return "minilm-l6" if latin * 2 > len(texts) and english else "e5-small"


def file_prints(ledger: Ledger) -> str:
    """Hashes of all files that were read."""
    return " ".join(file["sha256"] for file in ledger.files)


def located(data: Data, *, progress: Progress | None = None) -> Data:
    """The section with embedded names replaced by the files they stand for, fetched if need be.

    Args:
        data: the recipe's section.
        progress: hears bytes that are fetched.
    """
    from weitiao.models.assets import catalog

    def place(name: str) -> str:
        plain, mark, rows = name.partition("#")
        known = plain in catalog.DATASETS and not Path(plain).exists()
        if known:
            return f"{catalog.dataset_path(plain, progress=progress)}{mark}{rows}"
        return name

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
    ledger.refuse_losses(data.max_dropped_fraction, read_as=read_as(data))
    return found
