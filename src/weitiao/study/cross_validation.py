"""Every row tested once: one recipe trained on several folds of its rows.

    cross_validate("recipe.yaml", folds=5)  ->  CrossValidation

    output_dir/  cv.json  cv.html  predictions.jsonl  fold-0/  fold-1/ ...      (each an ordinary run folder)
                 rows/  the rows of each fold, until all are judged: whatever becomes of their files, it can be gone on with

A fold is the recipe with `data.split.test_folds` and `data.split.test_fold`, and nothing else: `weitiao train` with these
two gives the same run.  All rows of `data.train` are dealt; the validation rows of a fold come out of those that it may
train on.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Task
from weitiao.core.display import Sheet, either
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.files import read_lines, write_lines, write_text
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.core.sections import Data
from weitiao.data import check as checking
from weitiao.data import split as splitting
from weitiao.stages.data import located
from weitiao.stages.dealt import FILE, begin_with, divided, learnt
from weitiao.stages.events import Tell, listening
from weitiao.stages.run import Run
from weitiao.stages.runs import load
from weitiao.study.schedule import Book, Kind, Part, Study, claimed, judged

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress

FOLDS = 5
PREDICTIONS = "predictions.jsonl"
ROWS = "rows"
KIND = Kind(
    file="cv.json",
    page="cv.html",
    parts="folds",
    exists="cv_exists",
    stopped="cv_stopped",
)


@dataclass(frozen=True, repr=False)
class CrossValidation(Study):
    """A cross-validation's folder and what can be done with it."""

    kind = KIND

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """A dict a row of the files: `file`, `line`, `fold`, what was expected, and what every system said that had not
        seen it."""
        return read_lines(self.path / PREDICTIONS)

    def run(self, fold: int) -> Run:
        """The run of that fold, counted from 0.

        Raises:
            WeitiaoError: `no_run` when it has not begun, or there is no such fold.
        """
        return load(self.path / f"fold-{fold}")

    def sheet(self) -> Sheet:
        """The systems and their means."""
        found = self.results
        rows = [[system, spread(own[found["metric"]])] for system, own in found.get("metrics", {}).items()]
        title = f"Cross-validation {self.path}: {len(found.get('folds', ()))} folds"
        head = [either("system", "系统"), str(found.get("metric", ""))]
        return Sheet(title, head, rows, found.get("sentence", ""))


def spread(metric: Mapping[str, Any]) -> str:
    """`0.872 ± 0.013`: mean and standard deviation over the folds."""
    if metric["mean"] is None:
        return "-"
    return f"{metric['mean']:.3f}" + (f" ± {metric['sd']:.3f}" if metric["sd"] is not None else "")


def cross_validate(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    folds: int | None = None,
    overrides: Iterable[str] = (),
    resume: bool = False,
    tell: Tell | None = None,
    progress: Progress | None = None,
) -> CrossValidation:
    """Train the recipe once a fold, test each model on the rows of its fold, so that every row is tested once.

    All rows of `data.train` take part: `split.test` is not looked at, and nothing is locked away.  Folds are dealt as
    `data.split` says: each label evenly (`stratify`), users whole (`group_by`), or in order of `time`, where each fold
    trains on what came before its test rows alone and the first block is never tested.

    Args:
        recipe: a YAML file, a mapping or a `Recipe`.
        folds: how many, two at least; default: the recipe's `data.split.test_folds`, or 5.
        overrides: `key=value` words on top, such as `"train.num_train_epochs=1"`.
        resume: go on with the cross-validation in `output_dir`: what is judged stays, what was interrupted goes on, what
            failed is tried anew.
        tell: hears what happens.
        progress: hears (bytes, all bytes) of what is fetched.  Without both, standard error says how it goes.

    Returns:
        The cross-validation; folds that failed are named in `failed`, with the reason in `results`.

    Raises:
        WeitiaoError: whatever is wrong for all, before the first training: `wrong_value` for folds beside test rows that
            are given (`data.test`, `split.column`), `too_few_for_folds`, `fold_without_label`, `fold_unfit`; `cv_exists`,
            `other_study`, `cv_stopped` after SIGINT or SIGTERM.
    """
    # Pages are drawn with what takes a moment to import.
    from weitiao.study.folds_page import folds_page
    from weitiao.study.folds_table import gather, out_of_fold

    tree = recipe.model_dump() if isinstance(recipe, Recipe) else recipe
    asked = _asked(tree, list(overrides), folds)
    folder = RunFolder(Path(asked.output_dir))
    with ExitStack() as held_open:
        tell, progress, _ = held_open.enter_context(listening(tell, progress))
        tell("asked", recipe=asked)
        task = _fits(asked, progress=progress)
        common = asked.model_dump(mode="json")
        rows = held_open.enter_context(claimed(KIND, folder, common, resume=resume))
        parts = [_part(asked, folder, fold) for fold in range(asked.data.split.test_folds or 0)]
        # Folds that are judged need no rows, and those of the others lie here.
        stands = (
            judged(folder, part) or (_rows(folder, part.folder).path / "data" / FILE).is_file()
            for part in parts
        )
        kept = rows and all(stands)
        look = None if kept else _look(asked, task, progress=progress)
        dealt = look.facts if look else folder.json(KIND.file)["dealt"]
        made = partial(gather, folder.path, recipe=common, task=task, dealt=dealt)
        book = Book(KIND, folder, parts, rows, made, folds_page)
        book.write()
        if look:
            _keep(folder, parts, look, seed=asked.seed)
        tell("cross_validating", folds=len(parts), dealt=dealt)
        book.go(tell)
        write_lines(folder.path / PREDICTIONS, out_of_fold(folder.path, book.results["folds"]))
        if all(judged(folder, part) for part in parts):
            shutil.rmtree(folder.path / ROWS, ignore_errors=True)
    return CrossValidation(folder.path)


def _asked(tree: str | Path | Mapping[str, Any], words: list[str], folds: int | None) -> Recipe:
    """The recipe that all folds share."""
    if folds is None:
        # Read with what it says itself, which may be nothing.
        split = Recipe.read(tree, words).data.split
        folds = split.test_folds or FOLDS
    return Recipe.read(tree, [*words, f"data.split.test_folds={folds}", "data.split.test_fold=0"])


def _part(asked: Recipe, folder: RunFolder, fold: int) -> Part:
    split = asked.data.split.model_copy(update={"test_fold": fold})
    name = f"fold-{fold}"
    update = {
        "data": asked.data.model_copy(update={"split": split}),
        "output_dir": str(Path(asked.output_dir) / name),
    }
    own, rows = asked.model_copy(update=update), _rows(folder, name)
    return Part(f"fold {fold}", name, own, {"fold": fold}, rows_of=rows)


def _fits(asked: Recipe, *, progress: Progress | None) -> Task:
    """Everything that can be known before rows are read."""
    from weitiao.stages.preflight import preflight, resolve

    task, method = registry.build("task", asked.task), registry.build("method", asked.method)
    if not asked.data.train:
        raise fault("missing_key", key="data.train")
    resolve(asked, task, method)
    preflight(asked, task, method, progress=progress)
    return task


@dataclass(frozen=True)
class _Look:
    """The rows of all folds."""

    checked: checking.Checked
    task: Task
    """With what the rows taught it."""
    data: Data
    """With where they lie."""
    facts: dict[str, Any]
    """`by` (`label`, `group`, `time` or `chance`), `rows` that can be used, `tested`, `never_tested`, rows of each fold
    (`test`), and `groups` of several rows that stay in one fold."""


def _rows(folder: RunFolder, name: str) -> RunFolder:
    """What a fold is made on."""
    return RunFolder(folder.path / ROWS / name)


def _keep(folder: RunFolder, parts: Sequence[Part], look: _Look, *, seed: int) -> None:
    """Write the rows of every fold, so that one that begins later needs their files no more."""
    for part in parts:
        data, rows = (
            look.data.model_copy(update={"split": part.recipe.data.split}),
            _rows(folder, part.folder),
        )
        write_text(rows.path / "recipe.yaml", part.recipe.to_yaml())
        begin_with(rows, divided(look.checked, data, look.task, seed=seed), part.recipe)


def _look(asked: Recipe, task: Task, *, progress: Progress | None) -> _Look:
    """How the rows are dealt; what cannot be dealt or trained stops all folds, once.

    Raises:
        WeitiaoError: what reading, checking and dealing raise; `fold_unfit`.
    """
    data = located(asked.data, progress=progress)
    checked = checking.check(data, task.shape, seed=asked.seed)
    task = learnt(asked, task, checked.rows, progress=progress)
    fold_N = splitting.fold_of_rows(checked, data, seed=asked.seed)
    folds = asked.data.split.test_folds or 0
    for fold in range(folds):
        split = data.split.model_copy(update={"test_fold": fold})
        try:
            splitting.split(checked, data.model_copy(update={"split": split}), seed=asked.seed)
        except WeitiaoError as error:
            raise fault("fold_unfit", fold=fold, folds=folds, why=error.text()) from error
    test = [int((fold_N == fold).sum()) for fold in range(folds)]
    given = int((checked.marks.side != checking.DEALT).sum())
    settings = asked.data.split
    labels = settings.stratify and len(set(checked.marks.strata)) > 1
    facts = {
        "by": "time" if settings.time else "group" if settings.group_by else "label" if labels else "chance",
        "rows": len(fold_N) - given,
        "tested": sum(test),
        "never_tested": len(fold_N) - given - sum(test),
        "validation_given": given,
        "test": test,
        "groups": checked.ledger.leaks.get("groups", 0),
    }
    return _Look(checked, task, data, facts)
