"""Rows and model made ready: read, checked, split, encoded; loaded, with the method's modules in.

Recipe, Task, Method  ->  prepare(...)  ->  Prepared, and data/ and facts.json in the run folder
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from weitiao.api.data import located
from weitiao.api.tell import Tell
from weitiao.core.contracts import Example, Method, Record, Task
from weitiao.core.errors import fault
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder, facts, write_json, write_lines
from weitiao.data import check as checking
from weitiao.data import encode
from weitiao.data import split as splitting
from weitiao.data.check import Ledger

if TYPE_CHECKING:
    from weitiao.models.fetch import Progress
    from weitiao.models.load import Loaded

NAMED = 8  # rows of a step that an error names


@dataclass
class Prepared:
    """What training needs."""

    task: Task
    """The task with what the data taught it."""
    loaded: Loaded
    splits: dict[str, list[Record]]
    examples: dict[str, list[Example]]
    """The encoded rows of each split, beside its records."""
    device: str
    trained: int
    """Parameters that train."""
    total: int
    """All parameters."""

    def places(self, rows: Sequence[int]) -> str:
        """Where training rows stand in their files."""
        named = ", ".join(self.splits["train"][row].place for row in rows[:NAMED])
        return named + (" ..." if len(rows) > NAMED else "")


def prepare(
    folder: RunFolder,
    recipe: Recipe,
    task: Task,
    method: Method,
    *,
    tell: Tell,
    progress: Progress | None,
) -> Prepared:
    """Everything before the first step; bad rows are found before the model is loaded.

    Raises:
        WeitiaoError: what checking, splitting, loading and encoding raise; `other_data` when a run that is gone on
            with was begun on other rows or another base.
    """
    from weitiao.models import anatomy, load, store

    if not recipe.data.train:
        raise fault("missing_key", key="data.train")
    checked = checking.check(located(recipe.data, progress=progress), task, seed=recipe.seed)
    splits = splitting.split(checked.records, checked.task, recipe.data.split, seed=recipe.seed)
    tell("data", ledger=checked.ledger, splits={name: len(rows) for name, rows in splits.items()})

    tell("loading", model=recipe.model)
    device = load.pick_device()
    loaded = load.load(recipe.model, checked.task, seed=recipe.seed, device=device, progress=progress)
    _refuse_others(
        folder, checked.ledger, base=load.fingerprint(loaded.source), seed=recipe.seed, device=device
    )
    store.prepare(loaded, method, seed=recipe.seed)
    trained, total = anatomy.parameter_counts(loaded.model)

    limit = _row_limit(recipe, loaded)
    examples: dict[str, list[Example]] = {}
    for name, rows in splits.items():
        splits[name], examples[name] = encode.encode(
            rows, checked.task, loaded.processor, data=recipe.data, limit=limit, ledger=checked.ledger
        )
        if rows and not examples[name]:
            raise fault("too_few_rows", rows=len(rows), why=f"every {name} row is too long", needed=1)
    checked.ledger.split = {name: len(rows) for name, rows in splits.items()}
    checked.ledger.labels = checking.label_table(splits, checked.task)
    checked.ledger.tokens = encode.token_table([e for rows in examples.values() for e in rows], limit=limit)
    _write(folder, checked.ledger, splits)
    tell("encoded", ledger=checked.ledger, trained=trained, total=total)
    return Prepared(checked.task, loaded, splits, examples, device, trained, total)


def _row_limit(recipe: Recipe, loaded: Loaded) -> int:
    asked = recipe.data.max_length
    if asked and asked > loaded.limit:
        why = f"{recipe.model} has {loaded.limit} positions"
        raise fault("wrong_value", key="data.max_length", value=asked, why=why)
    return asked or loaded.limit


def _refuse_others(folder: RunFolder, ledger: Ledger, *, base: str, seed: int, device: str) -> None:
    """Note what the run is made of, or find that it was begun on something else."""
    prints = {"data": " ".join(file["sha256"] for file in ledger.files), "base": base}
    before = folder.json("facts.json").get("fingerprints", prints)
    for what, now in prints.items():
        if before[what] != now:
            raise fault("other_data", path=folder.path, what=what, before=before[what][:12], after=now[:12])
    write_json(folder.path / "facts.json", facts(seed=seed, device=device, fingerprints=prints))


def _write(folder: RunFolder, ledger: Ledger, splits: dict[str, list[Record]]) -> None:
    data = folder.path / "data"
    write_json(data / "ledger.json", ledger.to_dict())
    ids = {name: [f"{record.file}:{record.line}" for record in rows] for name, rows in splits.items()}
    write_json(data / "split.json", ids)
    lines = [{"file": record.file, "line": record.line, **record.values} for record in splits["test"]]
    write_lines(data / "test.jsonl", lines)
