"""What the data are, whatever model reads them: rows, task, languages, folds, a column of dates.

look("reviews.csv")  ->  Ground(task, rows that are asked, their folds, what the doctor says, ...)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from weitiao.core import registry
from weitiao.core.contracts import Metric, Record, Task
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.recipe import Recipe
from weitiao.data import check as checking
from weitiao.data import split as splitting
from weitiao.data.doctor import Diagnosis, examine
from weitiao.data.formats import Unusable
from weitiao.data.read import read
from weitiao.data.rows import Rows
from weitiao.data.sides import time_of
from weitiao.stages.data import guess, located, task_of
from weitiao.stages.dealt import gathered

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress

HEADS = {"labelled": 1000, "tagged": 500, "pictured": 1000}
"""Shapes of rows to which a linear head on frozen features can say something, and how many of them it is asked."""
AS_IT_IS = {"pair": 500, "conversation": 100, "plain": 100}
"""Shapes whose rows an untuned model answers itself."""
OTHERS = 500
"""Rows of other shapes: models say nothing of them before they are tuned, baselines do."""
FOLDS = (5, 3, 2)
"""So many, or fewer where rows are few."""
DATED = 0.95
"""Share of the rows that have a date where a column is one of dates."""


@dataclass
class Ground:
    """What every model is asked."""

    recipe: Recipe
    """What will be trained, less model and method."""
    task: Task
    """With what all rows taught it."""
    metric: Metric
    name: str
    """Of the metric."""
    checked: checking.Checked
    diagnosis: Diagnosis
    rows: Rows
    """Those that are asked."""
    fold_N: Any
    """Of each; all -1 where there are too few rows for two folds."""
    how: Literal["head", "untuned", "none"]
    """Who answers: a head on frozen features, the model itself, or nobody before it is tuned."""
    dates: str = ""
    """The column of dates."""
    time_N: Any = field(default_factory=lambda: np.zeros(0))
    """The time of each row that is asked, where there is such a column."""

    @property
    def heads(self) -> bool:
        """Does a head on frozen features answer?"""
        return self.how == "head"

    @property
    def folds(self) -> int:
        """How many."""
        return int(self.fold_N.max(initial=-1)) + 1

    @property
    def ratio(self) -> float:
        """Test rows / rows that are learnt from, of a fold; nothing is learnt where the model answers itself."""
        return 1 / (self.folds - 1) if self.how != "untuned" and self.folds > 1 else 0.0


def asked(
    files: Sequence[str],
    *,
    task: str,
    columns: Mapping[str, str],
    overrides: Sequence[str],
    progress: Progress | None,
) -> Recipe:
    """The recipe of files, their columns and task guessed; model and method are still open.

    Raises:
        WeitiaoError: as `weitiao init`; `unprobed_task` for one that nothing can be said of before it is tuned.
    """
    stem = Path(files[0].partition("#")[0]).stem
    tree: dict[str, Any] = {"model": "-", "task": task or "-", "output_dir": f"runs/{stem}"}
    given = Recipe.read(tree | {"data": {"train": list(files), "columns": dict(columns)}}, overrides)
    if not task and given.task["name"] != "-":
        task = given.task["name"]
    section = given.data
    wanted = registry.build("task", given.task).shape if task else None
    shape, keys = guess(located(section, progress=progress), wanted)
    named = given.task if task else {"name": task_of(shape)}
    found = registry.build("task", named)
    if not _known(found):
        names = (name for name in registry.names("task") if _known(registry.build("task", {"name": name})))
        raise fault("unprobed_task", task=named["name"], known=", ".join(names))
    return given.model_copy(
        update={"data": section.model_copy(update=keys), "task": registry.settings_of(named["name"], found)}
    )


def _known(task: Task) -> bool:
    """Can anything be said before tuning: by a model, or by a baseline?"""
    return not task.taught and (how(task) != "none" or bool(task.baselines))


def how(task: Task) -> Literal["head", "untuned", "none"]:
    """Who answers rows of this kind before anything is tuned."""
    if task.shape.name in HEADS:
        return "head"
    return "untuned" if task.shape.name in AS_IT_IS else "none"


def look(recipe: Recipe, *, rows: int | None, progress: Progress | None) -> Ground:
    """Read, check and examine the rows, and deal those that are asked.

    Args:
        recipe: as `asked` gives it.
        rows: so many are asked, at most; default: by their kind.
        progress: hears bytes that are fetched.

    Raises:
        WeitiaoError: what reading and checking raise, and what rows as a whole that cannot teach their task do.
    """
    task, data = registry.build("task", recipe.task), located(recipe.data, progress=progress)
    checked = checking.check(data, task.shape, seed=recipe.seed)
    diagnosis = examine(checked.rows, task.shape, ledger=checked.ledger.to_dict(), groups=checked.marks.near)
    task = task.learn(checked.rows)
    most = rows or {**HEADS, **AS_IT_IS}.get(task.shape.name, OTHERS)
    # By the hashes of the rows themselves: the same ones in whatever order they stand.
    some = np.sort(np.argsort(checked.marks.key, kind="stable")[:most])
    kept, places = gathered(task, checked.rows.take(some), trains=False, seed=recipe.seed)
    fold_N = _folds(
        checking.Checked(checked.rows.take(some), checked.marks.take(some), task.shape, checked.ledger),
        recipe,
    )
    name = "bits_per_byte" if how(task) == "untuned" and task.generates else task.primary
    metric: Metric = registry.build("metric", {"name": name})
    found = Ground(recipe, task, metric, name, checked, diagnosis, kept, fold_N[places], how(task))
    found.dates, time_N = _dated(data.train, checked.rows.take(some), data.encoding, data.format)
    found.time_N = time_N[places] if found.dates else time_N
    return found


def _folds(some: checking.Checked, recipe: Recipe) -> Any:
    """Like labels evenly, and what belongs together in one fold; where labels are too rare for that, whatever comes."""
    for folds in FOLDS:
        for evenly in (True, False):
            split = recipe.data.split.model_copy(
                update={"test_folds": folds, "stratify": evenly, "time": None}
            )
            data = recipe.data.model_copy(update={"split": split})
            try:
                return splitting.fold_of_rows(some, data, seed=recipe.seed)
            except WeitiaoError as error:
                if error.code not in ("too_few_for_folds", "fold_without_label"):
                    raise
    return np.full(len(some.rows), -1)


def _dated(files: Sequence[str], rows: Rows, encoding: str, format: str) -> tuple[str, Any]:
    """The first column that has a date in nearly all rows, and the time of each row; a number is no date."""
    sources = read(list(files), encoding=encoding, format=format)
    times: dict[str, dict[tuple[str, int, int], float]] = {}
    seen = 0
    for source in sources:
        for item in source.rows():
            if not isinstance(item, Record):
                continue
            seen += 1
            # What is none in the first row that has a value is none at all.
            for column in list(times) if seen > 1 else list(item.values):
                try:
                    dated, time = time_of(item.values, column)
                except Unusable:
                    dated = False
                if dated:
                    times.setdefault(column, {})[item.file, item.line, item.nth] = time
            if not times:
                return "", np.zeros(0)
    for column, known in times.items():
        found_N = np.array([known.get((row.file, row.line, row.nth), np.nan) for row in rows])
        if np.isfinite(found_N).mean() >= DATED and len(np.unique(found_N[np.isfinite(found_N)])) > 2:
            return column, found_N
    return "", np.zeros(0)
